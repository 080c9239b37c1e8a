package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"sync/atomic"

	"airmirror/mirror"
)

var errResponded = errors.New("the request was answered")

// requestBody is the body of a request that is sent while it is answered: the first line, if there is one, then the input.
type requestBody struct {
	r        io.Reader
	mu       sync.Mutex // held while r is read
	answered atomic.Bool
	readErr  atomic.Pointer[error] // the error of reading the input
}

func newRequestBody(line []byte, body io.Reader) *requestBody {
	if line != nil {
		body = io.MultiReader(bytes.NewReader(append(line, '\n')), body)
	}
	return &requestBody{r: body}
}

// Read implements [io.Reader].
func (s *requestBody) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered.Load() {
		return 0, errResponded
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.readErr.CompareAndSwap(nil, &err)
	}
	return n, err
}

// WriteTo implements [io.WriterTo]. Without it, net/http would read the input in small pieces.
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

// Close stops reading the input. It may be called on nil.
func (s *requestBody) Close() error {
	if s != nil {
		s.answered.Store(true)
	}
	return nil
}

// stop stops reading the input, and waits for a read in progress.
func (s *requestBody) stop() {
	s.answered.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
}

// cause returns why a request failed with err: the cause of ctx if that has ended, or the error of reading the input,
// which tells more than the mirror's answer to the incomplete request.
func (s *requestBody) cause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s != nil {
		if failed := s.readErr.Load(); failed != nil {
			return fmt.Errorf("read the data to send to the mirror: %w", *failed)
		}
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // its text names an address that does not exist
	}
	if refused := (*mirror.Error)(nil); errors.As(err, &refused) {
		return err
	}
	if failed := (*writeError)(nil); errors.As(err, &failed) {
		return failed.error
	}
	return connectionError(ctx, err)
}
