package proxy

import (
	"context"

	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	settingNotes = "setting"
	modeNote     = "mode"
)

// rememberedMode returns the mode that SetMode was last told, in this run or an earlier one.
func (m *Proxy) rememberedMode(ctx context.Context) (mirror.Mode, error) {
	if m.opts.Offline {
		return mirror.Offline, nil
	}
	notes, err := m.store.State(ctx, settingNotes)
	if mode, badNote := mirror.ParseMode(string(notes[modeNote])); err == nil && badNote == nil {
		return mode, nil
	}
	return m.opts.Mode, err
}

// Mode returns the mode that the mirror is in.
func (m *Proxy) Mode() mirror.Mode {
	mode, _ := m.network.get()
	return mode
}

// SetMode switches to a mode and remembers it for the next run. With an error other than [mirror.CodeUnsupported] it is switched
// all the same, since who cuts the network must not need room on the disk. Going offline ends everything that is under
// way with an upstream. A mirror with [Options.Offline] stays offline: [mirror.CodeUnsupported].
func (m *Proxy) SetMode(ctx context.Context, mode mirror.Mode) error {
	if m.opts.Offline && mode != mirror.Offline {
		return mirror.Errorf(mirror.CodeUnsupported, "this mirror was started with --offline: start it without to let it ask upstreams")
	}
	m.network.set(m.ctx, mode)
	m.retryChores()
	m.log.Info("mode changed", zap.String("mode", string(mode)))
	if err := m.store.SetState(ctx, settingNotes, map[string][]byte{modeNote: []byte(mode)}); err != nil {
		return mirror.Errorf(mirror.CodeUnknown, "the mode is %s now, but that cannot be remembered for the next start: %w", mode, err)
	}
	return nil
}
