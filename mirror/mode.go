package mirror

// Mode says whether requests are sent to upstreams.
type Mode string

// ParseMode parses the name of a mode. The error for any other text is a [CodeUnsupported].
func ParseMode(s string) (Mode, error) {
	switch mode := Mode(s); mode {
	case Auto, Online, Offline:
		return mode, nil
	}
	return "", Errorf(CodeUnsupported, "%s is not a mode: want online, offline or auto", quote(s))
}

// The modes. In Auto, the default, an upstream that does not answer is considered down until a probe succeeds. In Online,
// every request is sent anyway. In Offline, nothing is dialled.
const (
	Auto    Mode = "auto"
	Online  Mode = "online"
	Offline Mode = "offline"
)
