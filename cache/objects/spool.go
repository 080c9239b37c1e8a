package objects

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spool is a file with the content of an upload from an offset on. The content before the offset was sent by another node.
type spool struct {
	path string
	file *os.File
	from int64
}

func newSpool(path string, from int64) (*spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return &spool{path: path, file: file, from: from}, nil
}

// section returns a reader of the bytes of the upload between two offsets.
func (s *spool) section(at, end int64) *io.SectionReader {
	return io.NewSectionReader(s.file, at-s.from, end-at)
}

// size returns the offset in the upload of the end of the file.
func (s *spool) size() (int64, error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, err
	}
	return s.from + info.Size(), nil
}

// drop deletes the file. Tails can still read it.
func (s *spool) drop() {
	s.file.Close()
	_ = os.Remove(s.path) // what stays is deleted at the next start
}

// errElsewhere reports that the beginning of an upload cannot be read before it is complete.
var errElsewhere = fmt.Errorf("%w: another node has sent the beginning of the upload, which cannot be read before it is complete", errors.ErrUnsupported)

const (
	// maxKept is the number of suspended uploads whose content stays on this node, and maxKeptSize the size up to which.
	maxKept     = 64
	maxKeptSize = partSize
)

// keptSpool is the content of a suspended upload, as the row of a generation describes it.
type keptSpool struct {
	*spool
	generation string
}

// keep keeps the content of a suspended upload, so that it need not be read back.
func (o *Objects) keep(id, generation string, s *spool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if end, err := s.size(); err != nil || end-s.from > maxKeptSize || o.ctx.Err() != nil {
		s.drop()
		return
	}
	for other, old := range o.kept {
		if len(o.kept) >= maxKept {
			old.drop()
			delete(o.kept, other)
		}
	}
	o.kept[id] = keptSpool{s, generation}
}

// takeKept returns the content of a suspended upload, or nil. What does not match the row is deleted.
func (o *Objects) takeKept(id, generation string, size int64) *spool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, found := o.kept[id]
	if !found {
		return nil
	}
	delete(o.kept, id)
	if end, err := s.size(); err != nil || end != size || s.generation != generation {
		s.drop()
		return nil
	}
	return s.spool
}
