package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"airmirror/mirror"
)

// stream reads a tar and counts its bytes. Its errors distinguish truncated archives, invalid archives and errors of
// the underlying reader.
type stream struct {
	r          io.Reader
	seek       io.Seeker // nil if r cannot seek
	ahead      []byte    // unread bytes, which are read before r
	pos        int64     // number of bytes that were read or skipped
	limit      int64     // maximum pos for reading; 0 is no limit
	failed     error     // error of r other than io.EOF
	compressed *stream   // the input of r if r is a decompressor
}

func streamOf(r io.Reader) *stream {
	s := &stream{r: r}
	// An [os.File] for a pipe also has a method Seek, but Seek fails.
	if seeker, ok := r.(io.Seeker); ok {
		if _, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seek = seeker
		}
	}
	return s
}

// Read returns io.EOF at the end of r. Other errors can be reported without further explanation.
func (s *stream) Read(p []byte) (n int, err error) {
	if s.limit > 0 {
		if s.pos >= s.limit {
			return 0, invalid("the archive has a header that is too large")
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

// unread makes data, which was read last, available again.
func (s *stream) unread(data []byte) {
	s.ahead = append(data[:len(data):len(data)], s.ahead...)
	s.pos -= int64(len(data))
}

// full fills p.
func (s *stream) full(p []byte) error {
	_, err := io.ReadFull(s, p)
	return s.explain(err)
}

// skip skips n bytes. It always reads the last one, because seeking beyond the end of a file is not an error.
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

// end returns an error if the stream has more data.
func (s *stream) end() error {
	switch n, err := io.ReadFull(s, make([]byte, 1)); {
	case n > 0:
		return invalid("the bundle has data after its end, at byte %d", s.pos-1)
	case err != io.EOF:
		return s.explain(err)
	}
	return nil
}

// explain returns the error to report for an error that occurred while reading s. Errors of the underlying reader are
// returned unchanged.
func (s *stream) explain(err error) error {
	var reported *mirror.Error
	switch {
	case err == nil || errors.As(err, &reported):
		return err
	case s.cause() != nil:
		return s.cause()
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return truncated(s.pos)
	case errors.Is(err, tar.ErrHeader):
		return invalid("there is no tar header at byte %d: the file is not a tar, or is damaged: %w", s.pos, err)
	case s.compressed != nil:
		return invalid("decompression fails after byte %d: the file is damaged: %w", s.pos, err)
	}
	return invalid("the archive is damaged at byte %d: %w", s.pos, err)
}

// cause returns the error of the underlying reader, or nil if it returned none except io.EOF.
func (s *stream) cause() error {
	for s.compressed != nil {
		s = s.compressed
	}
	return s.failed
}

// truncated returns the error for an archive that ends after pos bytes.
func truncated(pos int64) error {
	return &mirror.Error{Code: mirror.CodeBundleInvalid, Cause: io.ErrUnexpectedEOF,
		Message: fmt.Sprintf("the archive was cut off after %d bytes", pos)}
}

// seekable is a stream in which package tar can seek.
type seekable struct{ *stream }

// Seek moves by n bytes. Package tar uses no other form of seeking.
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
