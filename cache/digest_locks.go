package cache

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// guards keep a file from being deleted under somebody who is about to name it in the index. Who makes a file durable
// holds its digest from before it may find the file there already until after the transaction that names it; any number
// do so at once. Who deletes a file takes the digest for itself, looks whether the index names it, and then deletes. The
// zero value is ready.
//
// Nobody waits for a guard inside of a transaction, and nobody has more than one of them, so they cannot lock one
// another out.
type digestLocks struct {
	mu      sync.Mutex
	entries map[digest.Digest]*digestLock
}

type digestLock struct {
	sharers   int           // who is about to name the file
	exclusive bool          // somebody is about to delete it
	deleting  bool          // a sweep took it from the index and comes to delete it
	changed   chan struct{} // closed when holders or taken falls; nil if nobody waits for that
}

// entry returns the guard of d; call it with the lock, and drop after the guard has changed.
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

// drop forgets a guard that nobody needs, and wakes who waits for it to change.
func (g *digestLocks) release(d digest.Digest, entry *digestLock) {
	if entry.changed != nil {
		close(entry.changed)
		entry.changed = nil
	}
	if entry.sharers == 0 && !entry.exclusive && !entry.deleting {
		delete(g.entries, d)
	}
}

// wait returns what is closed when entry changes.
func (entry *digestLock) wait() <-chan struct{} {
	if entry.changed == nil {
		entry.changed = make(chan struct{})
	}
	return entry.changed
}

// hold keeps the file of d, if there is one, until release is called. It waits only for a deletion under way.
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

// take waits until nobody holds d, and keeps others from it until release is called.
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

// try is take for who does not wait: release is nil if somebody is about to name or to delete the file of d.
func (g *digestLocks) tryLock(d digest.Digest) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.entries[d] != nil {
		return nil
	}
	return g.lockEntry(d, g.entry(d))
}

func (g *digestLocks) lockEntry(d digest.Digest, entry *digestLock) (release func()) {
	entry.exclusive = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		entry.exclusive = false
		g.release(d, entry)
	}
}

// leave says whether a sweep is on its way to delete the file of d.
func (g *digestLocks) setDeleting(d digest.Digest, leaving bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	entry.deleting = leaving
	g.release(d, entry)
}
