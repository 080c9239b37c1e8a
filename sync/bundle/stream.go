package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"airmirror/mirror"
)

// stream reads a tar, counts what was read, and tells apart what ends early, what is malformed and what cannot be read.
type stream struct {
	r          io.Reader
	seek       io.Seeker // nil if r cannot seek
	ahead      []byte    // what was read of r and is to be read again
	pos        int64     // how many bytes were read or skipped
	limit      int64     // the highest pos that may be reached by reading; no limit if it is 0
	failed     error     // what r returned, if that was not io.EOF
	compressed *stream   // what r decompresses; nil if it does not
}

func streamOf(r io.Reader) *stream {
	s := &stream{r: r}
	// A pipe has the method, too.
	if seeker, ok := r.(io.Seeker); ok {
		if _, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seek = seeker
		}
	}
	return s
}

// Read returns io.EOF where r ends. Every other error is what the caller is to be told.
func (s *stream) Read(p []byte) (n int, err error) {
	if s.limit > 0 {
		if s.pos >= s.limit {
			return 0, invalid("the archive has headers that are too large")
		}
		p = p[:min(int64(len(p)), s.limit-s.pos)]
	}
	if len(s.ahead) > 0 {
		n = copy(p, s.ahead)
		s.ahead = s.ahead[n:]
	} else {
		n, err = s.r.Read(p)
	}
	s.pos += int64(n)
	if err != nil && err != io.EOF {
		s.failed = err
		err = s.explain(err)
	}
	return n, err
}

// unread has data, which was just read, read again.
func (s *stream) unread(data []byte) {
	s.ahead = append(data[:len(data):len(data)], s.ahead...)
	s.pos -= int64(len(data))
}

// full fills p.
func (s *stream) full(p []byte) error {
	_, err := io.ReadFull(s, p)
	return s.explain(err)
}

// skip passes over n bytes. Seeking beyond the end is no error to a file, so that the last byte is always read.
func (s *stream) skip(n int64) error {
	if m := min(n, int64(len(s.ahead))); m > 0 {
		s.ahead = s.ahead[m:]
		s.pos += m
		n -= m
	}
	if s.seek == nil || n < 2 {
		_, err := io.CopyN(io.Discard, s, n)
		return s.explain(err)
	}
	at, err := s.seek.Seek(n-1, io.SeekCurrent)
	if err != nil {
		return err
	}
	s.pos += n - 1
	_, err = io.CopyN(io.Discard, s, 1)
	if err == io.EOF {
		if end, err := s.seek.Seek(0, io.SeekEnd); err == nil {
			s.pos += end - at
		}
	}
	return s.explain(err)
}

// end reports anything that is left of the stream.
func (s *stream) end() error {
	switch n, err := io.ReadFull(s, make([]byte, 1)); {
	case n > 0:
		return invalid("there is more after the end of the bundle, at byte %d", s.pos-1)
	case err != io.EOF:
		return s.explain(err)
	}
	return nil
}

// explain returns what the caller is told about an error that reading of s came to. The error of who is read from comes
// back as it is.
func (s *stream) explain(err error) error {
	var told *mirror.Error
	switch {
	case err == nil || errors.As(err, &told):
		return err
	case s.cause() != nil:
		return s.cause()
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return truncated(s.pos)
	case errors.Is(err, tar.ErrHeader):
		return invalid("there is no tar header at byte %d: this is no tar, or damaged: %w", s.pos, err)
	case s.compressed != nil:
		return invalid("decompressing fails after byte %d: the file is damaged: %w", s.pos, err)
	}
	return invalid("the archive is damaged at byte %d: %w", s.pos, err)
}

// cause returns what the one who is read from returned; nil if that is nothing, or the end.
func (s *stream) cause() error {
	for s.compressed != nil {
		s = s.compressed
	}
	return s.failed
}

// cut makes the error of an archive that ends after pos bytes.
func truncated(pos int64) error {
	return &mirror.Error{Code: mirror.CodeBundleInvalid, Cause: io.ErrUnexpectedEOF,
		Message: fmt.Sprintf("the archive was cut off after %d bytes", pos)}
}

// seekable is a stream that package tar can seek in.
type seekable struct{ *stream }

// Seek knows only what package tar uses: it moves on from where it is.
func (s seekable) Seek(n int64, _ int) (int64, error) {
	m := min(n, int64(len(s.ahead)))
	s.ahead = s.ahead[m:]
	if n > m {
		if _, err := s.seek.Seek(n-m, io.SeekCurrent); err != nil {
			return 0, err
		}
	}
	s.pos += n
	return s.pos, nil
}
