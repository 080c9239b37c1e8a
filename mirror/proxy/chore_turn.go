package proxy

import (
	"cmp"
	"time"

	"airmirror/mirror"
)

// maxChores bounds how many images wait to be completed. Of these, and of the turns that they take, each client has a
// share; see [mirror.Shares]. Nobody's images give way to those of others.
const maxChores = 20_000

// add adds an image, which is part of a share already. The caller holds the lock, or is alone.
func (c *chores) add(ref mirror.Ref, added *chore) {
	c.begun++
	added.came = c.begun
	c.open[ref] = added
}

// remove removes an image. The caller holds the lock.
func (c *chores) remove(ref mirror.Ref) {
	gone, known := c.open[ref]
	if !known {
		return
	}
	delete(c.open, ref)
	c.shares.Give(gone.owner, 1)
	if c.shares.Of(gone.owner) == 0 {
		delete(c.served, gone.owner)
	}
}

// resumeChores goes on with the images that could not be completed so far, as many as there are slots.
func (m *Proxy) resumeChores() {
	for m.Mode() != mirror.Offline && m.room(0) == nil && m.beginChore() { // else it would be fetched in vain, or thrown away
	}
}

// beginChore begins to complete the image whose turn it is, if there is one, and a slot for it.
func (m *Proxy) beginChore() bool {
	c := &m.chores
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	ref, next := c.next(time.Now())
	if next == nil || m.begin() != nil {
		<-c.slots
		return false
	}
	go func() {
		defer m.work.Done()
		done := m.workOn(ref, next)
		<-c.slots
		if done { // else the next ones have time, as the same may be in their way
			m.resumeChores()
		}
	}()
	return true
}

// next returns the image whose turn it is, which counts as worked on from then on, or nil. The turn is that of the client
// of which the fewest are worked on, and then of the one that waits longest for one of its own to be begun.
func (c *chores) next(now time.Time) (ref mirror.Ref, next *chore) {
	c.mu.Lock()
	defer c.mu.Unlock()
	working := map[string]int{}
	for _, chore := range c.open {
		if chore.working {
			working[chore.owner]++
		}
	}
	for at, chore := range c.open {
		if chore.working || !chore.noted || now.Before(chore.next) {
			continue
		}
		if next == nil || cmp.Or(
			cmp.Compare(working[chore.owner], working[next.owner]),
			cmp.Compare(c.served[chore.owner], c.served[next.owner]),
			cmp.Compare(chore.came, next.came)) < 0 {
			ref, next = at, chore
		}
	}
	if next != nil {
		c.begun++
		c.served[next.owner], next.working = c.begun, true
	}
	return ref, next
}
