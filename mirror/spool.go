package mirror

import (
	"context"
	"fmt"
	"io"
)

// Spool is the body of a manifest on its way in, on the disk: who sends it decides how long that takes, and memory is not
// to be held for as long. Close it.
type Spool struct {
	in   BlobWriter
	size int64
}

// Spool reads the body of a manifest, up to what a manifest may have and one byte more, until it ends. An error of r is
// returned as it is.
func (m *Mirror) Spool(ctx context.Context, r io.Reader) (s *Spool, err error) {
	if err := m.room(MaxManifestSize); err != nil {
		return nil, err
	}
	in, err := m.store.Receive(ctx, "")
	if err != nil {
		return nil, err
	}
	s = &Spool{in: in}
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

// read returns what came.
func (s *Spool) read() ([]byte, error) {
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
