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

// stall cancels an answer whose body brings fewer than so many bytes in a time. Only the time in which somebody waits
// for them counts: a reader may take as long as it likes.
type stall struct {
	stallError
	timer *time.Timer   // runs within read
	left  time.Duration // for the rest of the bytes
	came  int
}

func newStall(w *watchdog, opts Options) stall {
	e := stallError{bytes: opts.StallBytes, timeout: opts.StallTimeout}
	timer := time.AfterFunc(e.timeout, func() { w.cancel(e) })
	timer.Stop()
	return stall{stallError: e, timer: timer, left: e.timeout}
}

// read reads from body.
func (s *stall) read(body io.Reader, p []byte) (int, error) {
	begun := time.Now()
	s.timer.Reset(s.left)
	n, err := body.Read(p)
	s.timer.Stop()
	s.left -= time.Since(begun)
	if s.came += n; s.came >= s.bytes {
		s.came, s.left = 0, s.timeout
	}
	return n, err
}
