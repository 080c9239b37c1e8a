package admin

import (
	"net/http"
	"time"
)

// stallWriter disconnects a client that does not read its answer for the stall timeout. A part of the answer, of at most
// 256 KiB, has to be taken within that time.
type stallWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	set     time.Time // when the deadline was set last
}

// withStallTimeout returns w with the stall timeout; zero is none.
func withStallTimeout(w http.ResponseWriter, timeout time.Duration) *stallWriter {
	s := &stallWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
	s.extend()
	return s
}

// Unwrap is for [http.ResponseController].
func (s *stallWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// stallStep is the precision of deadlines. It avoids setting one for each write.
const stallStep = time.Second

// extend moves the deadline ahead. An answer in this process has none.
func (s *stallWriter) extend() {
	if s.timeout == 0 {
		_ = s.control.SetWriteDeadline(time.Time{}) // of an earlier answer on the connection
		return
	}
	if now := time.Now(); now.Sub(s.set) >= stallStep {
		s.set = now
		_ = s.control.SetWriteDeadline(now.Add(s.timeout + stallStep))
	}
}

// Write implements [http.ResponseWriter].
func (s *stallWriter) Write(p []byte) (int, error) {
	s.extend()
	return s.ResponseWriter.Write(p)
}
