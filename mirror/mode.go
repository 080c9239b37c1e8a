package mirror

import (
	"context"
	"sync"
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

// network is what stands between a mirror and its upstreams. Its context ends when the mirror goes offline, and with it
// every question and transfer under way; between the other modes, transfers go on.
type network struct {
	mu     sync.RWMutex
	mode   Mode
	ctx    context.Context
	alive  context.Context // what ctx is made from
	cancel context.CancelCauseFunc
}

// set switches to mode; base is what a context of the network is made from.
func (n *network) set(base context.Context, mode Mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel == nil || n.mode == Offline {
		n.alive, n.cancel = context.WithCancelCause(base)
	}
	n.mode, n.ctx = mode, n.alive
	switch mode {
	case Online:
		n.ctx = insist(n.alive)
	case Offline:
		n.cancel(errOffline)
	}
}

func (n *network) get() (Mode, context.Context) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mode, n.ctx
}

type insistKey struct{}

func insist(ctx context.Context) context.Context { return context.WithValue(ctx, insistKey{}, true) }

// Insists reports whether an [Upstream] is to be asked even if it counts as gone.
func Insists(ctx context.Context) bool { return ctx.Value(insistKey{}) != nil }
