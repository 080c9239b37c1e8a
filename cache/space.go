package cache

import "errors"

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
