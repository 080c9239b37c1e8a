package cache

import (
	"errors"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"airmirror/mirror"
)

// spaceFor is how long it is believed how full the disk is.
const spaceFor = time.Second

// Floor is how much of the disk of a store is to stay free. It is safe for concurrent use.
type Floor struct {
	store *Store
	least func(total int64) int64

	mu     sync.Mutex
	looked time.Time
	free   int64
	floor  int64
	err    error
}

// Floor returns what keeps least of a disk that is so large free, in bytes.
func (s *Store) Floor(least func(total int64) int64) *Floor { return &Floor{store: s, least: least} }

// Check returns a [mirror.CodeStorageFull] unless need bytes more leave the disk above its floor. A store of which nobody
// knows how full it is has room.
func (f *Floor) Check(need int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.looked.IsZero() || time.Since(f.looked) >= spaceFor {
		f.look()
	}
	if f.err != nil || f.free-need >= f.floor {
		return f.err
	}
	return mirror.Errorf(mirror.CodeStorageFull, "the mirror's disk is nearly full, and takes nothing in: %s is free, and %s is to stay so (limits.minFree); make room with 'mirror gc'",
		size(f.free), size(f.floor))
}

func (f *Floor) look() {
	f.looked, f.free, f.floor = time.Now(), 0, 0
	total, free, err := f.store.Space()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		f.err = nil
	case err != nil:
		f.err = err
	default:
		f.free, f.floor, f.err = free, f.least(total), nil
	}
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }
