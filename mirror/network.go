package mirror

import (
	"context"
	"sync"
)

// network is what stands between a mirror and its upstreams. Its context ends when the mirror goes offline, and with it
// every question and transfer under way; between the other modes, transfers go on.
type network struct {
	mu     sync.RWMutex
	mode   Mode
	ctx    context.Context
	alive  context.Context // what ctx is made from
	cancel context.CancelCauseFunc
	next   chan struct{} // closed when the mode is set again; nil if nobody waits for that
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
		n.ctx = BypassBreaker(n.alive)
	case Offline:
		n.cancel(errOffline)
	}
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

func (n *network) get() (Mode, context.Context) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mode, n.ctx
}

func (n *network) link() (ctx context.Context, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.ctx, n.next
}

// NetworkContext is for what else than upstreams is dialled on the other side of the gap: it must be with a context made from ctx,
// which ends when the mirror goes offline or is closed, and has ended already if it is. changed is closed when a mode is set
// the next time, be it the same one.
func (m *Mirror) NetworkContext() (ctx context.Context, changed <-chan struct{}) {
	return m.network.link()
}

// until returns the context of the network for a transfer that is one client's alone, which ends with ctx as well, or with
// end.
func (n *network) until(ctx context.Context) (net context.Context, end func()) {
	_, net = n.get()
	net, cancel := context.WithCancel(net)
	stop := context.AfterFunc(ctx, cancel)
	return net, func() { stop(); cancel() }
}

type insistKey struct{}

// BypassBreaker returns a context of questions for which an upstream that counts as gone is asked all the same.
func BypassBreaker(ctx context.Context) context.Context {
	return context.WithValue(ctx, insistKey{}, true)
}

// BypassesBreaker reports whether ctx is one of [BypassBreaker].
func BypassesBreaker(ctx context.Context) bool { return ctx.Value(insistKey{}) != nil }

type backgroundKey struct{}

// Background returns a context of questions that no client waits for: what fails or is limited among them holds no client
// back.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether ctx is one of [Background].
func IsBackground(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }
