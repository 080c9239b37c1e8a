package cache

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// deleteFence prevents a sweep from deleting content while a reader opens it. A sweep marks a digest and then reads the
// recorded uses. A reader records its use and then calls [deleteFence.passed]. So at least one of them detects the
// other: either the sweep finds the use and keeps the content, or the reader learns that its content may be deleted and
// reads again. The zero value is ready; one transaction of a sweep runs at a time.
type deleteFence struct {
	// epoch is odd while a transaction runs; it only increases.
	epoch atomic.Uint64

	mu        sync.Mutex
	digests   map[digest.Digest]bool
	ended     chan struct{} // closed at the end of the running transaction
	protected map[digest.Digest]int
}

// begin is called before a transaction of a sweep.
func (f *deleteFence) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.digests, f.ended = make(map[digest.Digest]bool), make(chan struct{})
	f.epoch.Add(1)
}

// end is called after a transaction of a sweep.
func (f *deleteFence) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch.Add(1)
	f.digests = nil
	close(f.ended)
}

// mark announces that d may be deleted. It reports false if d is protected.
func (f *deleteFence) mark(d digest.Digest) (ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.protected[d] > 0 {
		return false
	}
	f.digests[d] = true
	return true
}

// current returns the epoch. A reader calls it before it looks up content, and hands the result to passed.
func (f *deleteFence) current() uint64 { return f.epoch.Load() }

// passed is called after d was found and its use was recorded. It reports false if a sweep may have deleted d since the
// given epoch; then the reader looks d up again. It waits while a transaction that marked d runs.
func (f *deleteFence) passed(ctx context.Context, d digest.Digest, since uint64) (bool, error) {
	if since%2 == 0 && f.epoch.Load() == since {
		return true, nil
	}
	f.mu.Lock()
	over, marked, ended := f.epoch.Load() != since, f.digests[d], f.ended
	f.mu.Unlock()
	if over || !marked {
		return !over, nil
	}
	select {
	case <-ended:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// isProtected reports whether [Store.Protect] protects d.
func (f *deleteFence) isProtected(d digest.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.protected[d] > 0
}

// protect prevents digests from being marked until release is called. It waits for the end of a transaction that has
// marked one of them.
func (f *deleteFence) protect(digests []digest.Digest) (release func()) {
	f.mu.Lock()
	var ended chan struct{}
	for _, d := range digests {
		if f.protected == nil {
			f.protected = make(map[digest.Digest]int)
		}
		f.protected[d]++
		if f.digests[d] {
			ended = f.ended
		}
	}
	f.mu.Unlock()
	if ended != nil {
		<-ended
	}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, d := range digests {
			if f.protected[d]--; f.protected[d] == 0 {
				delete(f.protected, d)
			}
		}
	})
}
