package mirror

import (
	"fmt"
	"io"
)

// Spool is the body of a manifest on its way in, on the disk: who sends it decides how long that takes, and memory is not
// to be held for as long. Close it.
type Spool struct {
	in   BlobWriter
	size int64
}

// ReadSpool reads the body of a manifest into in, up to what a manifest may have and one byte more, until it ends. An error
// of r is returned as it is.
func ReadSpool(in BlobWriter, r io.Reader) (*Spool, error) {
	s := &Spool{in: in}
	buf := make([]byte, 8<<10)
	for s.size <= MaxManifestSize {
		n, err := r.Read(buf)
		if n > 0 {
			s.size += int64(n)
			if _, err := in.Write(buf[:n]); err != nil {
				s.Close()
				return nil, fmt.Errorf("keep the body of a manifest on the disk: %w", err)
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

// Size returns how many bytes came.
func (s *Spool) Size() int64 { return s.size }

// Bytes returns what came.
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

// Close drops what came.
func (s *Spool) Close() { _ = s.in.Abort() } // what is left of it is dropped at the next start
