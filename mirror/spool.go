package mirror

import (
	"fmt"
	"io"
)

// Spool is the body of a pushed manifest on the disk, so that a slow client occupies no memory while it sends. The
// caller closes it.
type Spool struct {
	in   BlobWriter
	size int64
}

// ReadSpool reads the body of a manifest from r into in until it ends, or up to one byte more than a manifest may have.
// It returns errors of r unchanged.
func ReadSpool(in BlobWriter, r io.Reader) (*Spool, error) {
	s := &Spool{in: in}
	buf := make([]byte, 8<<10)
	for s.size <= MaxManifestSize {
		n, err := r.Read(buf)
		if n > 0 {
			s.size += int64(n)
			if _, err := in.Write(buf[:n]); err != nil {
				s.Close()
				return nil, fmt.Errorf("write the body of a manifest to the disk: %w", err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Size returns the size of the body in bytes.
func (s *Spool) Size() int64 { return s.size }

// Bytes returns the body.
func (s *Spool) Bytes() ([]byte, error) {
	tail, err := s.in.Tail()
	if err != nil {
		return nil, fmt.Errorf("read the body of a manifest from the disk: %w", err)
	}
	defer tail.Close()
	data := make([]byte, s.size)
	if _, err := tail.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the body of a manifest from the disk: %w", err)
	}
	return data, nil
}

// Close deletes the body.
func (s *Spool) Close() { _ = s.in.Abort() } // if Abort fails, the mirror deletes the file when it starts again
