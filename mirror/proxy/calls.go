package proxy

import (
	"context"
	"sync"

	"airmirror/mirror"
)

// callGroup merges equal calls to upstreams: all callers wait for one request. A call continues without its callers, so
// that the next one finds its result, but not after the proxy begins to close.
type callGroup struct {
	tasks   *tasks
	network *network
	limiter *missLimiter

	mu      sync.Mutex
	calls   map[callKey]*call
	closing bool
}

// callKey identifies a call. Background calls are separate, since upstreams may delay them.
type callKey struct {
	name       string
	background bool
}

// call is a call that is under way. Its answer and its error may be read after done is closed.
type call struct {
	callers int
	cancel  context.CancelCauseFunc
	done    chan struct{}
	answer  any
	err     error
}

type noCallerKey struct{}

// withoutCaller returns a context of calls that end when the proxy closes, even if a caller waits for them.
func withoutCaller(ctx context.Context) context.Context {
	return context.WithValue(ctx, noCallerKey{}, true)
}

// do runs send, or joins the call of the same name that is under way. The caller calls leave when it waits no longer.
func (g *callGroup) do(ctx context.Context, name string, send func(net context.Context) (any, error)) (c *call, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := callKey{name, mirror.IsBackground(ctx)}
	c, known := g.calls[key]
	switch other := g.calls[callKey{name, !key.background}]; {
	case known || other == nil:
	case key.background:
		c, known = other, true
	default:
		send = other.orElse(send)
	}
	if !known {
		var ok bool
		if c, ok = g.start(ctx, key, send); !ok {
			return c, func() {}
		}
	}
	if ctx.Value(noCallerKey{}) != nil {
		g.cancelUnused(c)
		return c, func() {}
	}
	c.callers++
	return c, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.callers--
		g.cancelUnused(c)
	}
}

// start starts a call. A call that cannot start is done and has an error; ok is false. The caller holds the lock.
func (g *callGroup) start(ctx context.Context, key callKey, send func(net context.Context) (any, error)) (c *call, ok bool) {
	c = &call{done: make(chan struct{})}
	if c.err = errMisses; g.limiter.allow(ctx) {
		c.err = g.tasks.begin()
	}
	if c.err != nil {
		close(c.done)
		return c, false
	}
	_, net := g.network.get()
	if key.background {
		net = mirror.Background(net)
	}
	net, c.cancel = context.WithCancelCause(net)
	if g.calls == nil {
		g.calls = make(map[callKey]*call)
	}
	g.calls[key] = c
	go func() {
		defer g.tasks.done()
		c.answer, c.err = send(net)
		g.remove(key)
		close(c.done)
		c.cancel(nil)
	}()
	return c, true
}

// wait waits until the call is done. It returns the error of ctx if that ends first.
func (c *call) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// orElse returns a function that waits for c, a background call, and returns its answer. If c fails for any reason but
// that the upstream does not have the content, the function calls send: what delays background work delays no client.
func (c *call) orElse(send func(net context.Context) (any, error)) func(net context.Context) (any, error) {
	return func(net context.Context) (any, error) {
		select {
		case <-c.done:
			if c.err == nil || mirror.Definitive(c.err) {
				return c.answer, c.err
			}
			return send(net)
		case <-net.Done():
			return nil, context.Cause(net)
		}
	}
}

func (g *callGroup) remove(key callKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, key)
}

// close cancels all calls without callers, now and later.
func (g *callGroup) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	for _, c := range g.calls {
		g.cancelUnused(c)
	}
}

func (g *callGroup) cancelUnused(c *call) {
	if g.closing && c.callers == 0 {
		c.cancel(errClosing)
	}
}
