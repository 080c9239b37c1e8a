package cache

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// digestLocks prevent that a file is deleted while another goroutine is about to add an entry for it. A goroutine that
// writes a file shares the lock of its digest, from before it may find an existing file until its transaction has added
// the entry. A goroutine that deletes a file holds the lock exclusively while it checks that the index has no entry and
// deletes the file. The zero value is ready.
//
// No goroutine waits for a lock inside a transaction, or while it holds another lock, so there is no deadlock.
type digestLocks struct {
	mu      sync.Mutex
	entries map[digest.Digest]*digestLock
}

type digestLock struct {
	sharers   int           // goroutines that are about to add an entry
	exclusive bool          // a goroutine is about to delete the file
	deleting  int           // transactions of sweeps that have deleted the entry and will delete the file
	changed   chan struct{} // closed when the lock changes; nil if no goroutine waits
}

// entry returns the lock of d. Call it with mu held, and release after a change of the lock.
func (g *digestLocks) entry(d digest.Digest) *digestLock {
	entry := g.entries[d]
	if entry == nil {
		if g.entries == nil {
			g.entries = make(map[digest.Digest]*digestLock)
		}
		entry = new(digestLock)
		g.entries[d] = entry
	}
	return entry
}

// release wakes the goroutines that wait for the lock, and deletes a lock that is not in use.
func (g *digestLocks) release(d digest.Digest, entry *digestLock) {
	if entry.changed != nil {
		close(entry.changed)
		entry.changed = nil
	}
	if entry.sharers == 0 && !entry.exclusive && entry.deleting == 0 {
		delete(g.entries, d)
	}
}

// wait returns a channel that is closed when the lock changes.
func (entry *digestLock) wait() <-chan struct{} {
	if entry.changed == nil {
		entry.changed = make(chan struct{})
	}
	return entry.changed
}

// share prevents that the file of d is deleted until release is called. It waits only for a deletion that is running.
func (g *digestLocks) share(d digest.Digest) (release func()) {
	g.mu.Lock()
	entry := g.entry(d)
	for entry.exclusive {
		changed := entry.wait()
		g.mu.Unlock()
		<-changed
		g.mu.Lock()
		entry = g.entry(d)
	}
	entry.sharers++
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		entry.sharers--
		g.release(d, entry)
	}
}

// lock locks d exclusively until release is called. It waits until no other goroutine shares or holds the lock.
func (g *digestLocks) lock(ctx context.Context, d digest.Digest) (release func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	for entry.exclusive || entry.sharers > 0 {
		changed := entry.wait()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		g.mu.Lock()
		if err != nil {
			return nil, err
		}
		entry = g.entry(d)
	}
	return g.lockEntry(d, entry), nil
}

// tryLock is lock without waiting: release is nil if the lock is in use.
func (g *digestLocks) tryLock(d digest.Digest) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entries[d] != nil {
		return nil
	}
	return g.lockEntry(d, g.entry(d))
}

// lockNow is lock without waiting, for a sweep that has deleted the entry of d. It reports false if another goroutine
// shares or holds the lock; otherwise the caller calls unlock.
func (g *digestLocks) lockNow(d digest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	if entry.exclusive || entry.sharers > 0 {
		return false
	}
	entry.exclusive = true
	return true
}

// unlock ends an exclusive lock.
func (g *digestLocks) unlock(d digest.Digest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	entry.exclusive = false
	g.release(d, entry)
}

func (g *digestLocks) lockEntry(d digest.Digest, entry *digestLock) (release func()) {
	entry.exclusive = true
	return func() { g.unlock(d) }
}

// setDeleting records that a sweep is about to delete the file of d, or that it has. The file may have been written and
// deleted again before the sweep reports the first.
func (g *digestLocks) setDeleting(d digest.Digest, deleting bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	if deleting {
		entry.deleting++
	} else {
		entry.deleting--
	}
	g.release(d, entry)
}

// isDeleting reports whether a sweep is about to delete the file of d.
func (g *digestLocks) isDeleting(d digest.Digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entries[d] != nil && g.entries[d].deleting > 0
}
