package upstream

import (
	"fmt"
	"io"
	"time"
)

// stallError is the error of a body that arrived too slowly.
type stallError struct {
	bytes   int
	timeout time.Duration
}

func (e stallError) Error() string {
	return fmt.Sprintf("it stalled: fewer than %d bytes within %v", e.bytes, e.timeout)
}

// stallReader reads the body of a response, and cancels the response if fewer than [Options.StallBytes] arrive within the
// timeout. Only the time spent in Read counts: a slow reader is no stall.
type stallReader struct {
	stallError
	body     io.Reader
	timer    *time.Timer   // runs within Read
	left     time.Duration // for the rest of the bytes
	received int
}

func newStallReader(r *response, timeout time.Duration) *stallReader {
	e := stallError{bytes: r.endpoint.opts.StallBytes, timeout: timeout}
	timer := time.AfterFunc(timeout, func() { r.watchdog.cancel(e) })
	timer.Stop()
	return &stallReader{stallError: e, body: r.Body, timer: timer, left: timeout}
}

// Read implements [io.Reader].
func (s *stallReader) Read(p []byte) (int, error) {
	begun := time.Now()
	s.timer.Reset(s.left)
	n, err := s.body.Read(p)
	s.timer.Stop()
	s.left -= time.Since(begun)
	if s.received += n; s.received >= s.bytes {
		s.received, s.left = 0, s.timeout
	}
	return n, err
}
