package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"airmirror/cache/backend"
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

// Space returns how large the disk is that blobs are on, and how much of it may still be filled, in bytes.
// [errors.ErrUnsupported] if they are on none.
func (s *Store) Space() (total, free int64, err error) {
	disk, ok := s.blobs.(interface {
		Space() (total, free int64, err error)
	})
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return disk.Space()
}

// StoredBytes adds up all that is held, blobs and manifests, by the index alone. For a million of them that takes about a
// second.
func (s *Store) StoredBytes(ctx context.Context) (bytes int64, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		n := 0
		for k, value := range tx.Scan(tableBlobs, "", "") {
			if record, err := scanBlob(k, value); err == nil { // a check finds the others
				bytes += record.Size
			}
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return bytes, explain(err, "add up what is held")
}
