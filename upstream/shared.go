package upstream

import (
	"context"
	"sync"
)

// shared has callers who need the same answer wait for it together, each as long as its own context allows. What they
// wait for goes on until the last one has left, so that nothing is asked that nobody waits for; it ends with the cause
// that the last one had. The zero value is ready.
type shared[T any] struct {
	mu    sync.Mutex
	calls map[string]*sharedCall[T]
}

type sharedCall[T any] struct {
	waiting int
	cancel  context.CancelCauseFunc
	done    chan struct{}
	value   T
	err     error
}

// do returns what f does under key, which another caller may have begun. f gets the values of ctx and not its end.
func (s *shared[T]) do(ctx context.Context, key string, f func(ctx context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	call, known := s.calls[key]
	if !known {
		call = &sharedCall[T]{done: make(chan struct{})}
		var base context.Context
		base, call.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		if s.calls == nil {
			s.calls = make(map[string]*sharedCall[T])
		}
		s.calls[key] = call
		go func() {
			call.value, call.err = f(base)
			s.leave(base, key, call, 0)
			close(call.done)
		}()
	}
	call.waiting++
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
func (s *shared[T]) leave(ctx context.Context, key string, call *sharedCall[T], callers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.waiting -= callers
	if callers > 0 && call.waiting > 0 {
		return
	}
	if callers > 0 {
		call.cancel(context.Cause(ctx))
	}
	if s.calls[key] == call {
		delete(s.calls, key)
	}
}
