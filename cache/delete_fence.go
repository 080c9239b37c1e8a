package cache

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// doomed is what a sweep's transaction is about to take out. A use that is noted while that transaction is under way may
// come too late for it, and what was read before it may be gone after it. So who says that something is held notes the
// use first and then asks here ([doomed.spared]); a sweep first dooms a digest and then looks for uses. Whichever comes
// second sees the other. The zero value is ready; one sweep's transaction is under way at a time.
type deleteFence struct {
	// rounds is even, and one more while a transaction is under way; it never falls.
	epoch atomic.Uint64

	mu        sync.Mutex
	digests   map[digest.Digest]bool
	ended     chan struct{} // closed at the end of the transaction under way
	protected map[digest.Digest]int
}

// begin precedes a sweep's transaction.
func (x *deleteFence) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.digests, x.ended = make(map[digest.Digest]bool), make(chan struct{})
	x.epoch.Add(1)
}

// end follows it.
func (x *deleteFence) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.epoch.Add(1)
	x.digests = nil
	close(x.ended)
}

// doom announces that d may go, unless it is protected.
func (x *deleteFence) mark(d digest.Digest) (ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.protected[d] > 0 {
		return false
	}
	x.digests[d] = true
	return true
}

// since is called before something is looked up that a sweep could take; what it returns is for spared.
func (x *deleteFence) current() uint64 { return x.epoch.Load() }

// spared is called after d was found to be held and its use was noted. If it reports false, a sweep may have taken it
// meanwhile: look again. It waits as long as that is being decided.
func (x *deleteFence) passed(ctx context.Context, d digest.Digest, since uint64) (bool, error) {
	if since%2 == 0 && x.epoch.Load() == since {
		return true, nil
	}
	x.mu.Lock()
	over, doomed, ended := x.epoch.Load() != since, x.digests[d], x.ended
	x.mu.Unlock()
	if over || !doomed {
		return !over, nil
	}
	select {
	case <-ended:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// isProtected reports whether [Store.Protect] keeps d.
func (x *deleteFence) isProtected(d digest.Digest) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.protected[d] > 0
}

// protect keeps digests from being doomed until release is called. It waits for a transaction that has doomed one.
func (x *deleteFence) protect(digests []digest.Digest) (release func()) {
	x.mu.Lock()
	var ended chan struct{}
	for _, d := range digests {
		if x.protected == nil {
			x.protected = make(map[digest.Digest]int)
		}
		x.protected[d]++
		if x.digests[d] {
			ended = x.ended
		}
	}
	x.mu.Unlock()
	if ended != nil {
		<-ended
	}
	return sync.OnceFunc(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, d := range digests {
			if x.protected[d]--; x.protected[d] == 0 {
				delete(x.protected, d)
			}
		}
	})
}
