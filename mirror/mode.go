package mirror

// Mode says whether upstreams are asked.
type Mode string

// ParseMode reads the name of a mode. Anything else is a [CodeUnsupported].
func ParseMode(s string) (Mode, error) {
	switch mode := Mode(s); mode {
	case Auto, Online, Offline:
		return mode, nil
	}
	return "", Errorf(CodeUnsupported, "%s is not a mode: want online, offline or auto", quote(s))
}

// The modes. In Auto, the default, an upstream that does not answer counts as gone until a probe finds it back; in
// Online it is asked every time; in Offline nothing is dialled.
const (
	Auto    Mode = "auto"
	Online  Mode = "online"
	Offline Mode = "offline"
)
