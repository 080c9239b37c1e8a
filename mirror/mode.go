package mirror

import (
	"context"

	"go.uber.org/zap"
)

// Mode says whether upstreams are asked.
type Mode string

// The modes. In Auto, the default, an upstream that does not answer counts as gone until a probe finds it back; in
// Online it is asked every time; in Offline nothing is dialled.
const (
	Auto    Mode = "auto"
	Online  Mode = "online"
	Offline Mode = "offline"
)

// ParseMode reads the name of a mode. Anything else is a [CodeUnsupported].
func ParseMode(s string) (Mode, error) {
	switch mode := Mode(s); mode {
	case Auto, Online, Offline:
		return mode, nil
	}
	return "", Errorf(CodeUnsupported, "%s is not a mode: want online, offline or auto", quote(s))
}

const (
	settingNotes = "setting"
	modeNote     = "mode"
)

// rememberedMode returns the mode that SetMode was last told, in this run or an earlier one.
func (m *Mirror) rememberedMode(ctx context.Context) (Mode, error) {
	if m.opts.Offline {
		return Offline, nil
	}
	notes, err := m.store.State(ctx, settingNotes)
	if mode, badNote := ParseMode(string(notes[modeNote])); err == nil && badNote == nil {
		return mode, nil
	}
	return m.opts.Mode, err
}

// Mode returns the mode that the mirror is in.
func (m *Mirror) Mode() Mode {
	mode, _ := m.network.get()
	return mode
}

// SetMode switches to a mode and remembers it for the next run. With an error other than [CodeUnsupported] it is switched
// all the same, since who cuts the network must not need room on the disk. Going offline ends everything that is under
// way with an upstream. A mirror with [Options.Offline] stays offline: [CodeUnsupported].
func (m *Mirror) SetMode(ctx context.Context, mode Mode) error {
	if m.opts.Offline && mode != Offline {
		return Errorf(CodeUnsupported, "this mirror was started with --offline: start it without to let it ask upstreams")
	}
	m.network.set(m.ctx, mode)
	m.retryChores()
	m.log.Info("mode changed", zap.String("mode", string(mode)))
	if err := m.store.SetState(ctx, settingNotes, map[string][]byte{modeNote: []byte(mode)}); err != nil {
		return Errorf(CodeUnknown, "the mode is %s now, but that cannot be remembered for the next start: %w", mode, err)
	}
	return nil
}
