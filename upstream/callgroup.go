package upstream

import (
	"context"
	"sync"
)

// callGroup runs one call at a time for each key and shares its result among the callers, each of whom waits as long as
// its own context allows. The call is canceled when the last caller has left, with the cause of that caller. The zero
// value is ready.
type callGroup[T any] struct {
	mu    sync.Mutex
	calls map[string]*groupCall[T]
}

type groupCall[T any] struct {
	waiters int
	cancel  context.CancelCauseFunc
	done    chan struct{}
	value   T
	err     error
}

// do returns the result of f for key, from the call of an earlier caller if that is not done yet. f gets the values of ctx
// but not its cancellation.
func (g *callGroup[T]) do(ctx context.Context, key string, f func(ctx context.Context) (T, error)) (T, error) {
	g.mu.Lock()
	call, known := g.calls[key]
	if !known {
		call = &groupCall[T]{done: make(chan struct{})}
		var base context.Context
		base, call.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		if g.calls == nil {
			g.calls = make(map[string]*groupCall[T])
		}
		g.calls[key] = call
		go func() {
			call.value, call.err = f(base)
			g.leave(base, key, call, 0)
			close(call.done)
		}()
	}
	call.waiters++
	g.mu.Unlock()
	defer g.leave(ctx, key, call, 1)
	select {
	case <-call.done:
		return call.value, call.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// leave removes callers from a call, the last of them with the context ctx; 0 callers when the call is done.
func (g *callGroup[T]) leave(ctx context.Context, key string, call *groupCall[T], callers int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	call.waiters -= callers
	if callers > 0 && call.waiters > 0 {
		return
	}
	if callers > 0 {
		call.cancel(context.Cause(ctx))
	}
	if g.calls[key] == call {
		delete(g.calls, key)
	}
}
