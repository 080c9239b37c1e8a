package proxy

import (
	"cmp"
	"time"

	"airmirror/mirror"
)

// maxBackfill is the maximum number of images to complete. Each client has a share of them, and of the turns; see
// [mirror.Shares]. No image is removed for those of another client.
const maxBackfill = 20_000

// add adds an image that is counted in the shares already. The caller holds the lock, or is alone.
func (b *backfill) add(ref mirror.Ref, image *backfillImage) {
	b.sequence++
	image.queued = b.sequence
	b.images[ref] = image
}

// remove removes an image. The caller holds the lock.
func (b *backfill) remove(ref mirror.Ref) {
	image, known := b.images[ref]
	if !known {
		return
	}
	delete(b.images, ref)
	b.shares.Give(image.owner, 1)
	if b.shares.Of(image.owner) == 0 {
		delete(b.turns, image.owner)
	}
}

// retry schedules all images to be tried soon, since the cause of their failures may be gone.
func (b *backfill) retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, image := range b.images {
		image.reset()
	}
}

// resume begins as many images as there are slots. It begins none while they could not be fetched or stored.
func (b *backfill) resume() {
	for !b.network.offline() && b.writes.room(0) == nil && b.beginNext() {
	}
}

// beginNext begins to complete the next image. It reports whether there was one, and a slot for it.
func (b *backfill) beginNext() bool {
	select {
	case b.slots <- struct{}{}:
	default:
		return false
	}
	ref, image := b.next(time.Now())
	if image == nil || b.tasks.begin() != nil {
		<-b.slots
		return false
	}
	go func() {
		defer b.tasks.done()
		done := b.complete(ref, image)
		<-b.slots
		if done { // otherwise the next image would probably fail for the same reason, so it waits
			b.resume()
		}
	}()
	return true
}

// next returns the next image and marks it as running, or returns nil. It is an image of the owner with the fewest running
// images, and then of the owner whose last turn is the longest ago.
func (b *backfill) next(now time.Time) (ref mirror.Ref, next *backfillImage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	running := map[string]int{}
	for _, image := range b.images {
		if image.running {
			running[image.owner]++
		}
	}
	for at, image := range b.images {
		if image.running || !image.saved || now.Before(image.next) {
			continue
		}
		if next == nil || cmp.Or(
			cmp.Compare(running[image.owner], running[next.owner]),
			cmp.Compare(b.turns[image.owner], b.turns[next.owner]),
			cmp.Compare(image.queued, next.queued)) < 0 {
			ref, next = at, image
		}
	}
	if next != nil {
		b.sequence++
		b.turns[next.owner], next.running = b.sequence, true
	}
	return ref, next
}
