package cache

import (
	"context"
	"errors"

	"airmirror/cache/backend"
)

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
