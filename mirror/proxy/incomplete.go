package proxy

import (
	"context"
	"iter"
	"sync"
	"time"

	"airmirror/mirror"
)

// countValidity is how long a count of incomplete images stays valid, as a multiple of the time that it took. So at most
// about a tenth of the time is spent counting.
const countValidity = 10

// incompleteCounter counts the images that are not complete. It reads all that is stored, so the count is cached.
type incompleteCounter struct {
	mu    sync.Mutex // locked while it counts
	at    time.Time  // when the last count ended; zero if there is none
	took  time.Duration
	count int
}

// countIncomplete returns the number of incomplete images, cached or not.
func (i *images) countIncomplete(ctx context.Context) (int, error) {
	c := &i.incomplete
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < countValidity*c.took {
		return c.count, nil
	}
	return c.update(i.list(ctx, mirror.ImageMatch{}, false))
}

// recountIncomplete returns the current number of incomplete images.
func (i *images) recountIncomplete(ctx context.Context) (int, error) {
	c := &i.incomplete
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.update(i.list(ctx, mirror.ImageMatch{}, false))
}

func (c *incompleteCounter) update(images iter.Seq2[mirror.Image, error]) (count int, err error) {
	began := time.Now()
	for image, err := range images {
		if err != nil {
			return count, err
		}
		if !image.Complete {
			count++
		}
	}
	c.at, c.took, c.count = time.Now(), time.Since(began), count
	return count, nil
}
