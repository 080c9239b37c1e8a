package proxy

import (
	"context"
	"sync"

	"airmirror/mirror"
)

// network is what stands between a mirror and its upstreams. Its context ends when the mirror goes offline, and with it
// every question and transfer under way; between the other modes, transfers go on.
type network struct {
	mu     sync.RWMutex
	mode   mirror.Mode
	ctx    context.Context
	alive  context.Context // what ctx is made from
	cancel context.CancelCauseFunc
	next   chan struct{} // closed when the mode is set again; nil if nobody waits for that
}

// set switches to mode; base is what a context of the network is made from.
func (n *network) set(base context.Context, mode mirror.Mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel == nil || n.mode == mirror.Offline {
		n.alive, n.cancel = context.WithCancelCause(base)
	}
	n.mode, n.ctx = mode, n.alive
	switch mode {
	case mirror.Online:
		n.ctx = mirror.BypassBreaker(n.alive)
	case mirror.Offline:
		n.cancel(errOffline)
	}
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

func (n *network) get() (mirror.Mode, context.Context) {
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
func (m *Proxy) NetworkContext() (ctx context.Context, changed <-chan struct{}) {
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
