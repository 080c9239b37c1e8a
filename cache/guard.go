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
type guards struct {
	mu      sync.Mutex
	digests map[digest.Digest]*guard
}

type guard struct {
	holders int           // who is about to name the file
	taken   bool          // somebody is about to delete it
	leaving bool          // a sweep took it from the index and comes to delete it
	changed chan struct{} // closed when holders or taken falls; nil if nobody waits for that
}

// entry returns the guard of d; call it with the lock, and drop after the guard has changed.
func (g *guards) entry(d digest.Digest) *guard {
	entry := g.digests[d]
	if entry == nil {
		if g.digests == nil {
			g.digests = make(map[digest.Digest]*guard)
		}
		entry = new(guard)
		g.digests[d] = entry
	}
	return entry
}

// drop forgets a guard that nobody needs, and wakes who waits for it to change.
func (g *guards) drop(d digest.Digest, entry *guard) {
	if entry.changed != nil {
		close(entry.changed)
		entry.changed = nil
	}
	if entry.holders == 0 && !entry.taken && !entry.leaving {
		delete(g.digests, d)
	}
}

// wait returns what is closed when entry changes.
func (entry *guard) wait() <-chan struct{} {
	if entry.changed == nil {
		entry.changed = make(chan struct{})
	}
	return entry.changed
}

// hold keeps the file of d, if there is one, until release is called. It waits only for a deletion under way.
func (g *guards) hold(d digest.Digest) (release func()) {
	g.mu.Lock()
	entry := g.entry(d)
	for entry.taken {
		changed := entry.wait()
		g.mu.Unlock()
		<-changed
		g.mu.Lock()
		entry = g.entry(d)
	}
	entry.holders++
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		entry.holders--
		g.drop(d, entry)
	}
}

// take waits until nobody holds d, and keeps others from it until release is called.
func (g *guards) take(ctx context.Context, d digest.Digest) (release func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	for entry.taken || entry.holders > 0 {
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
	return g.taken(d, entry), nil
}

// try is take for who does not wait: release is nil if somebody is about to name or to delete the file of d.
func (g *guards) try(d digest.Digest) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.digests[d] != nil {
		return nil
	}
	return g.taken(d, g.entry(d))
}

func (g *guards) taken(d digest.Digest, entry *guard) (release func()) {
	entry.taken = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		entry.taken = false
		g.drop(d, entry)
	}
}

// leave says whether a sweep is on its way to delete the file of d.
func (g *guards) leave(d digest.Digest, leaving bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := g.entry(d)
	entry.leaving = leaving
	g.drop(d, entry)
}
