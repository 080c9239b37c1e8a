package upstream

import (
	"context"
	"sync"
)

// shared has callers who need the same answer wait for it together, each as long as its own context allows. What they
// wait for goes on until the last one has left, so that nothing is asked that nobody waits for; it ends with the cause
// that the last one had. The zero value is ready.
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

// do returns what f does under key, which another caller may have begun. f gets the values of ctx and not its end.
func (s *callGroup[T]) do(ctx context.Context, key string, f func(ctx context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	call, known := s.calls[key]
	if !known {
		call = &groupCall[T]{done: make(chan struct{})}
		var base context.Context
		base, call.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		if s.calls == nil {
			s.calls = make(map[string]*groupCall[T])
		}
		s.calls[key] = call
		go func() {
			call.value, call.err = f(base)
			s.leave(base, key, call, 0)
			close(call.done)
		}()
	}
	call.waiters++
	s.mu.Unlock()
	defer s.leave(ctx, key, call, 1)
	select {
	case <-call.done:
		return call.value, call.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// leave is for so many callers who wait no more, the last of them with ctx; for none when the answer is there.
func (s *callGroup[T]) leave(ctx context.Context, key string, call *groupCall[T], callers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.waiters -= callers
	if callers > 0 && call.waiters > 0 {
		return
	}
	if callers > 0 {
		call.cancel(context.Cause(ctx))
	}
	if s.calls[key] == call {
		delete(s.calls, key)
	}
}
