package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"airmirror/mirror"
)

var errResponded = errors.New("the request is answered")

// sending is the body of a request that is sent while it is answered: its first line, and what follows.
type requestBody struct {
	r        io.Reader
	answered atomic.Bool
	readErr  atomic.Pointer[error] // that reading ended with
}

func newRequestBody(line []byte, body io.Reader) *requestBody {
	return &requestBody{r: io.MultiReader(bytes.NewReader(append(line, '\n')), body)}
}

// Read implements [io.Reader].
func (s *requestBody) Read(p []byte) (int, error) {
	if s.answered.Load() {
		return 0, errResponded
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.readErr.CompareAndSwap(nil, &err)
	}
	return n, err
}

// WriteTo implements [io.WriterTo]: each chunk is what one read gave, and large.
func (s *requestBody) WriteTo(w io.Writer) (written int64, err error) {
	buf := make([]byte, bufferSize)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			m, err := w.Write(buf[:n])
			written += int64(m)
			if err != nil {
				return written, err
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

// Close has nothing more read. There may be nothing to close.
func (s *requestBody) Close() error {
	if s != nil {
		s.answered.Store(true)
	}
	return nil
}

// cause is why a request ended with err: who went away, or could not read what was to be sent, is not told what the
// mirror made of that.
func (s *requestBody) cause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s != nil {
		if failed := s.readErr.Load(); failed != nil {
			return fmt.Errorf("read what is to be sent to the mirror: %w", *failed)
		}
	}
	if refused := (*mirror.Error)(nil); errors.As(err, &refused) {
		return err
	}
	if failed := (*writeError)(nil); errors.As(err, &failed) {
		return failed.error
	}
	return connectionError(ctx, err)
}
