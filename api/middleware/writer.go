package middleware

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"airmirror/api/registry"
)

const (
	// grain is how long a deadline may be ahead of its time: it is not set again for each write.
	deadlineStep = time.Second
	// piece is how much of a file is given to the kernel at a time, which then cannot be looked at.
	pieceSize = 8 << 20
)

// deadlines are what net/http's own writers can set for their connection or stream.
type deadlineSetter interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// writer counts what is answered, and has the connection cut off when nothing of it moves for a while. It keeps the way
// open from a file to the socket that does not pass through this process.
type writer struct {
	http.ResponseWriter
	conn     deadlineSetter // nil if there are none to be set
	stall    time.Duration
	started  time.Time
	extended time.Time
	status   int
	sent     int64
	hasCall  bool
	call     registry.Call
	exchange Exchange
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Witness implements [registry.Observer].
func (w *writer) Observe(seen registry.Call) { w.hasCall, w.call = true, seen }

// begin sets the deadline of the answer, which may be that of an earlier one on the same connection.
func (w *writer) begin() {
	w.conn, _ = w.ResponseWriter.(deadlineSetter)
	if w.conn != nil && w.stall == 0 {
		_ = w.conn.SetWriteDeadline(time.Time{})
	}
	w.extend(w.started)
}

// extend gives the client time to take what is written next.
func (w *writer) extend(now time.Time) {
	if w.conn == nil || w.stall == 0 || now.Sub(w.extended) < deadlineStep {
		return
	}
	w.extended = now
	_ = w.conn.SetWriteDeadline(now.Add(w.stall + deadlineStep))
}

// WriteHeader notes the status.
func (w *writer) WriteHeader(status int) {
	if w.status < http.StatusOK { // 1xx may come before
		w.status = status
	}
	w.extend(time.Now())
	w.ResponseWriter.WriteHeader(status)
}

// Write counts what is written.
func (w *writer) Write(p []byte) (int, error) {
	w.extend(time.Now())
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// ReadFrom has the kernel send a file, as far as the writer below can.
func (w *writer) ReadFrom(r io.Reader) (sent int64, err error) {
	to, direct := w.ResponseWriter.(io.ReaderFrom)
	limited, isLimited := r.(*io.LimitedReader)
	var file *os.File
	if isLimited {
		file, _ = limited.R.(*os.File)
	}
	if !direct || file == nil {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for limited.N > 0 && err == nil {
		var n int64
		part := &io.LimitedReader{R: file, N: min(limited.N, pieceSize)}
		if n, err = w.sendPiece(to, file, part); n == 0 {
			break // the file ends, or nothing moves
		}
		sent += n
		limited.N -= n
	}
	w.sent += sent
	return sent, err
}

// sendPiece sends a part of a file. A client that took some of it in time and not all has more time for the rest; but
// only if what was read of the file is what was sent, which is so as long as no byte of it came through this process.
func (w *writer) sendPiece(to io.ReaderFrom, file *os.File, part *io.LimitedReader) (int64, error) {
	before, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	w.extended = time.Time{}
	w.extend(time.Now())
	n, err := to.ReadFrom(part)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		if after, seekErr := file.Seek(0, io.SeekCurrent); seekErr == nil && after == before+n {
			return n, nil
		}
	}
	return n, err
}

// body counts what arrives, and has the connection cut off when nothing does for a while.
type body struct {
	io.ReadCloser
	out  *writer
	read int64
	set  time.Time
}

// Read gives the client time to send something. When the body has ended, net/http takes the deadline back before it goes
// on reading to see whether the client goes away.
func (b *body) Read(p []byte) (int, error) {
	now := time.Now()
	if b.out.conn != nil && b.out.stall > 0 && now.Sub(b.set) >= deadlineStep {
		b.set = now
		_ = b.out.conn.SetReadDeadline(now.Add(b.out.stall + deadlineStep))
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}
