package cache

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// capacityTTL is how long the free space of a disk is cached.
const capacityTTL = time.Second

// Capacity keeps a part of the disk free. It is safe for concurrent use.
type Capacity struct {
	store   *Store
	minimum func(total int64) int64

	mu        sync.Mutex
	refreshed time.Time
	free      int64
	minFree   int64
	err       error
}

// Capacity returns a limit that keeps minimum(total) bytes free on a disk of total bytes.
func (s *Store) Capacity(minimum func(total int64) int64) *Capacity {
	return &Capacity{store: s, minimum: minimum}
}

// Check returns [mirror.CodeStorageFull] if writing need bytes would leave less than the minimum free. It returns nil
// if the store is on no disk.
func (f *Capacity) Check(need int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refreshed.IsZero() || time.Since(f.refreshed) >= capacityTTL {
		f.refresh()
	}
	if f.err != nil || f.free-need >= f.minFree {
		return f.err
	}
	return mirror.Errorf(mirror.CodeStorageFull, "the disk of the mirror is nearly full: %s is free, and %s must stay free (limits.minFree); free space with 'mirror rm --now' or 'mirror gc'",
		size(f.free), size(f.minFree))
}

func (f *Capacity) refresh() {
	f.refreshed, f.free, f.minFree = time.Now(), 0, 0
	total, free, err := f.store.Space()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		f.err, f.free = nil, math.MaxInt64
	case err != nil:
		f.err = err
	default:
		f.free, f.minFree, f.err = free, f.minimum(total), nil
	}
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// Space returns the size of the disk with the blobs and the space available on it, in bytes. It returns
// [errors.ErrUnsupported] if the blobs are on no disk.
func (s *Store) Space() (total, free int64, err error) {
	disk, ok := s.blobs.(interface {
		Space() (total, free int64, err error)
	})
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return disk.Space()
}

// StoredBytes returns the total size of all stored blobs and manifests, according to the index. It takes about a second
// for a million of them.
func (s *Store) StoredBytes(ctx context.Context) (bytes int64, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		n := 0
		for k, value := range tx.Scan(tableBlobs, "", "") {
			if record, err := scanBlob(k, value); err == nil { // a check of the store reports records that cannot be decoded
				bytes += record.Size
			}
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return bytes, explain(err, "add up the stored bytes")
}
