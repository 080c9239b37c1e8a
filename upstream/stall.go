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
type stall struct {
	stallError
	body  io.Reader
	timer *time.Timer   // runs within Read
	left  time.Duration // for the rest of the bytes
	came  int
}

func newStall(a *answer, timeout time.Duration) *stall {
	e := stallError{bytes: a.from.opts.StallBytes, timeout: timeout}
	timer := time.AfterFunc(timeout, func() { a.watch.cancel(e) })
	timer.Stop()
	return &stall{stallError: e, body: a.Body, timer: timer, left: timeout}
}

// Read reads from the body.
func (s *stall) Read(p []byte) (int, error) {
	begun := time.Now()
	s.timer.Reset(s.left)
	n, err := s.body.Read(p)
	s.timer.Stop()
	s.left -= time.Since(begun)
	if s.came += n; s.came >= s.bytes {
		s.came, s.left = 0, s.timeout
	}
	return n, err
}
