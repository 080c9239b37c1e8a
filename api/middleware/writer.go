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
	// deadlineStep is the precision of deadlines. It avoids setting one for each write.
	deadlineStep = time.Second
	// pieceSize is how much of a file is passed to the kernel (sendfile) at a time.
	pieceSize = 8 << 20
)

// deadlineSetter is implemented by the response writers of net/http.
type deadlineSetter interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// writer counts the bytes of a response and aborts the connection if the client receives nothing for the stall timeout.
// It preserves the fast path from a file to a socket (sendfile).
type writer struct {
	http.ResponseWriter
	conn     deadlineSetter // nil if the connection has no deadlines
	stall    time.Duration
	started  time.Time
	extended time.Time
	status   int
	sent     int64
	id       [1]string // storage for the header with the request ID
	hasCall  bool
	user     string // of a request that is not one of the registry
	call     registry.Call
	exchange Exchange
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Observe implements [registry.Observer].
func (w *writer) Observe(seen registry.Call) { w.hasCall, w.call = true, seen }

// SetUser says who sent the request that w answers, for observers. It is for requests that the registry does not serve.
func SetUser(w http.ResponseWriter, user string) {
	if out, ok := w.(*writer); ok {
		out.user = user
	}
}

// begin sets the write deadline, replacing that of an earlier response on the connection.
func (w *writer) begin() {
	w.conn, _ = w.ResponseWriter.(deadlineSetter)
	if w.conn != nil && w.stall == 0 {
		_ = w.conn.SetWriteDeadline(time.Time{})
	}
	w.extend(w.started)
}

// extend moves the write deadline ahead.
func (w *writer) extend(now time.Time) {
	if w.conn == nil || w.stall == 0 || now.Sub(w.extended) < deadlineStep {
		return
	}
	w.extended = now
	_ = w.conn.SetWriteDeadline(now.Add(w.stall + deadlineStep))
}

// WriteHeader records the status.
func (w *writer) WriteHeader(status int) {
	if w.status < http.StatusOK { // 1xx responses may precede it
		w.status = status
	}
	w.extend(time.Now())
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes written.
func (w *writer) Write(p []byte) (int, error) {
	w.extend(time.Now())
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// ReadFrom lets the kernel send a file if the underlying writer supports that.
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
			break // end of the file, or no progress
		}
		sent += n
		limited.N -= n
	}
	w.sent += sent
	return sent, err
}

// sendPiece sends a part of a file. If the deadline expires after the client has received some of it, the rest gets
// more time. That requires that the file offset tells how much was sent, which is true if all bytes went through
// sendfile.
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

// body counts the bytes of a request body and aborts the connection if nothing arrives for the stall timeout.
type body struct {
	io.ReadCloser
	out  *writer
	read int64
	set  time.Time
}

// Read moves the read deadline ahead. At the end of the body, net/http resets the deadline before it reads on to detect
// that the client disconnects.
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
