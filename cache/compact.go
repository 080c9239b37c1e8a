package cache

import (
	"context"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// IndexUsage returns the size of the file of the index in bytes, and about how much of it [Store.CompactIndex] would free.
// It returns [mirror.CodeUnsupported] if the index cannot be compacted.
func (s *Store) IndexUsage() (size, free int64, err error) {
	compactor, ok := s.index.(backend.Compactor)
	if !ok {
		return 0, 0, errNotCompactable()
	}
	size, free, err = compactor.Usage()
	return size, free, explain(err, "measure the index")
}

// CompactIndex makes the file of the index as small as its content allows, and returns its size before and after in bytes.
// Changes wait until it returns; reads do not. A crash leaves the index as it was, or compacted.
func (s *Store) CompactIndex(ctx context.Context) (before, after int64, err error) {
	compactor, ok := s.index.(backend.Compactor)
	if !ok {
		return 0, 0, errNotCompactable()
	}
	before, after, err = compactor.Compact(ctx)
	return before, after, explain(err, "compact the index")
}

// CheckIndexFile returns an error if the file of the index was removed or replaced while it is in use.
func (s *Store) CheckIndexFile() error {
	if compactor, ok := s.index.(backend.Compactor); ok {
		return compactor.CheckFile()
	}
	return nil
}

func errNotCompactable() error {
	return mirror.Errorf(mirror.CodeUnsupported, "this index cannot be compacted")
}
