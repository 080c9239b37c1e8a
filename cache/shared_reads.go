package cache

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// sharedReads reads the file of a digest once for all callers that need it at the same time. The zero value is ready.
type sharedReads[V any] struct {
	slots chan struct{} // limits the number of reads at a time; nil for no limit

	mu    sync.Mutex
	calls map[digest.Digest]*sharedRead[V]
}

// sharedRead is a read that is running.
type sharedRead[V any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when value and err are set
	value   V
	err     error
}

// do returns what read returns. The read continues as long as a caller waits for it.
func (r *sharedReads[V]) do(ctx context.Context, d digest.Digest, read func(context.Context) (V, error)) (V, error) {
	call := r.join(ctx, d, read)
	defer r.leave(d, call)
	select {
	case <-call.done:
		return call.value, call.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (r *sharedReads[V]) join(ctx context.Context, d digest.Digest, read func(context.Context) (V, error)) *sharedRead[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := r.calls[d]
	if call == nil {
		if r.calls == nil {
			r.calls = make(map[digest.Digest]*sharedRead[V])
		}
		call = &sharedRead[V]{done: make(chan struct{})}
		ctx, call.cancel = context.WithCancel(context.WithoutCancel(ctx))
		r.calls[d] = call
		go func() {
			defer close(call.done)
			call.value, call.err = r.limited(ctx, read)
			r.end(d, call)
		}()
	}
	call.waiting++
	return call
}

// limited calls read when there is a slot for it.
func (r *sharedReads[V]) limited(ctx context.Context, read func(context.Context) (V, error)) (value V, err error) {
	if r.slots != nil {
		select {
		case r.slots <- struct{}{}:
			defer func() { <-r.slots }()
		case <-ctx.Done():
			return value, ctx.Err()
		}
	}
	return read(ctx)
}

// end removes a call: later callers read the file again.
func (r *sharedReads[V]) end(d digest.Digest, call *sharedRead[V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call.cancel()
	if r.calls[d] == call {
		delete(r.calls, d)
	}
}

// leave cancels the read if the caller is the last one.
func (r *sharedReads[V]) leave(d digest.Digest, call *sharedRead[V]) {
	r.mu.Lock()
	call.waiting--
	last := call.waiting == 0
	r.mu.Unlock()
	if last {
		r.end(d, call)
	}
}
