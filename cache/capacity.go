package cache

import (
	"errors"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"airmirror/mirror"
)

// capacityTTL is how long it is believed how full the disk is.
const capacityTTL = time.Second

// Capacity is how much of the disk of a store is to stay free. It is safe for concurrent use.
type Capacity struct {
	store   *Store
	minimum func(total int64) int64

	mu        sync.Mutex
	refreshed time.Time
	free      int64
	minFree   int64
	err       error
}

// Capacity returns what keeps least of a disk that is so large free, in bytes.
func (s *Store) Capacity(least func(total int64) int64) *Capacity {
	return &Capacity{store: s, minimum: least}
}

// Check returns a [mirror.CodeStorageFull] unless need bytes more leave the disk above its floor. A store of which nobody
// knows how full it is has room.
func (f *Capacity) Check(need int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refreshed.IsZero() || time.Since(f.refreshed) >= capacityTTL {
		f.refresh()
	}
	if f.err != nil || f.free-need >= f.minFree {
		return f.err
	}
	return mirror.Errorf(mirror.CodeStorageFull, "the mirror's disk is nearly full, and takes nothing in: %s is free, and %s is to stay so (limits.minFree); make room with 'mirror gc'",
		size(f.free), size(f.minFree))
}

func (f *Capacity) refresh() {
	f.refreshed, f.free, f.minFree = time.Now(), 0, 0
	total, free, err := f.store.Space()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		f.err = nil
	case err != nil:
		f.err = err
	default:
		f.free, f.minFree, f.err = free, f.minimum(total), nil
	}
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }
