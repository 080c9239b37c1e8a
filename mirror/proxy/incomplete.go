package proxy

import (
	"context"
	"sync"
	"time"
)

// incomplete counts the images that are not complete, for everybody who tells of them. It looks at all that is stored, so a
// count is believed for ten times as long as it took: that is next to no time for most mirrors, and no more than a tenth of
// the time of one is spent counting.
type incomplete struct {
	mu    sync.Mutex // held while it counts
	at    time.Time  // when the last count ended; zero if there is none
	took  time.Duration
	count int
}

const incompleteTrust = 10

// of returns the count.
func (c *incomplete) of(ctx context.Context, m *Proxy) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < incompleteTrust*c.took {
		return c.count, nil
	}
	return c.again(ctx, m)
}

// now counts.
func (c *incomplete) now(ctx context.Context, m *Proxy) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again(ctx, m)
}

func (c *incomplete) again(ctx context.Context, m *Proxy) (count int, err error) {
	began := time.Now()
	for image, err := range m.images(ctx, nil, false) {
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
