package proxy

import (
	"context"
	"sync"

	"airmirror/mirror"
)

var errOffline = mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline")

// network holds the mode and the context of all requests to upstreams. The context ends when the mode becomes offline.
// A change between the other modes keeps it, so that transfers continue.
type network struct {
	mu     sync.RWMutex
	mode   mirror.Mode
	ctx    context.Context
	base   context.Context // ctx without the options of the mode
	cancel context.CancelCauseFunc
	next   chan struct{} // closed when the mode is set again; nil if nobody waits for that
}

// set sets the mode. A new context is derived from parent.
func (n *network) set(parent context.Context, mode mirror.Mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel == nil || n.mode == mirror.Offline {
		n.base, n.cancel = context.WithCancelCause(parent)
	}
	n.mode, n.ctx = mode, n.base
	switch mode {
	case mirror.Online:
		n.ctx = mirror.BypassBreaker(n.base)
	case mirror.Offline:
		n.cancel(errOffline)
	}
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// get returns the mode and the context of requests.
func (n *network) get() (mirror.Mode, context.Context) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.mode, n.ctx
}

func (n *network) offline() bool {
	mode, _ := n.get()
	return mode == mirror.Offline
}

// watch returns the context, and a channel that is closed when the mode is set again.
func (n *network) watch() (ctx context.Context, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.ctx, n.next
}

// during returns a context for the transfer of one client: that of the network, which also ends with ctx. The caller calls
// end when the transfer is over.
func (n *network) during(ctx context.Context) (net context.Context, end func()) {
	_, net = n.get()
	net, cancel := context.WithCancel(net)
	stop := context.AfterFunc(ctx, cancel)
	return net, func() { stop(); cancel() }
}
