package proxy

import (
	"context"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// modeKey is the key of the record that holds the mode.
const modeKey = "mode"

// loadMode returns the mode that was set last, in this run or an earlier one.
func (p *Proxy) loadMode(ctx context.Context) (mirror.Mode, error) {
	if p.opts.Offline {
		return mirror.Offline, nil
	}
	state, err := p.store.State(ctx, settingState)
	if mode, invalid := mirror.ParseMode(string(state[modeKey])); err == nil && invalid == nil {
		return mode, nil
	}
	return p.opts.Mode, err
}

// Mode returns the mode.
func (p *Proxy) Mode() mirror.Mode {
	mode, _ := p.network.get()
	return mode
}

// SetMode sets the mode and stores it for the next start. Offline ends all requests and transfers that are under way.
// With [Options.Offline] the mode cannot change: [mirror.CodeUnsupported]. With any other error the mode has changed
// but is not stored, so that a mirror can be switched to offline even if its disk is full. Other nodes of the store have the
// mode a second after it is stored.
func (p *Proxy) SetMode(ctx context.Context, mode mirror.Mode) error {
	if p.opts.Offline && mode != mirror.Offline {
		return mirror.Errorf(mirror.CodeUnsupported, "this mirror was started with --offline: restart it without --offline to allow upstream requests")
	}
	err := p.settings.change(ctx, modeKey, []byte(mode), func() {
		p.network.set(p.tasks.ctx, mode)
		p.backfill.retry()
		p.log.Info("mode changed", zap.String("mode", string(mode)))
	})
	if err != nil {
		return mirror.Errorf(mirror.CodeUnknown, "the mode is %s now, but cannot be saved for the next start: %w", mode, err)
	}
	return nil
}

// NetworkContext returns the context for dialling anything that is not an upstream, such as webhooks. It ends when the
// mirror goes offline or closes; offline, it has ended already. The channel changed is closed when a mode is set next, even
// if it is the same one.
func (p *Proxy) NetworkContext() (ctx context.Context, changed <-chan struct{}) {
	return p.network.watch()
}
