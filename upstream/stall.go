package upstream

import (
	"fmt"
	"io"
	"time"
)

// stallError: a body came too slowly.
type stallError struct {
	bytes   int
	timeout time.Duration
}

func (e stallError) Error() string {
	return fmt.Sprintf("it stalled: fewer than %d bytes within %v", e.bytes, e.timeout)
}

// stall reads the body of an answer and cancels it if it brings fewer than [Options.StallBytes] in a time. Only the time
// in which somebody waits for them counts: whoever reads may take as long as they like.
type stallReader struct {
	stallError
	body     io.Reader
	timer    *time.Timer   // runs within Read
	left     time.Duration // for the rest of the bytes
	received int
}

func newStallReader(a *response, timeout time.Duration) *stallReader {
	e := stallError{bytes: a.endpoint.opts.StallBytes, timeout: timeout}
	timer := time.AfterFunc(timeout, func() { a.watchdog.cancel(e) })
	timer.Stop()
	return &stallReader{stallError: e, body: a.Body, timer: timer, left: timeout}
}

// Read reads from the body.
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
