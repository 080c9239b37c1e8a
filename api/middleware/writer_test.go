package middleware

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// socket records what it reads from and its deadline.
type socket struct {
	*httptest.ResponseRecorder
	from []io.Reader
	// stop makes one read end after this many bytes with an expired deadline.
	stop int64
	// lose is how many of the bytes read are not sent then.
	lose int64
}

func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	limited := r.(*io.LimitedReader)
	s.from = append(s.from, limited.R)
	if s.stop == 0 {
		return s.Body.ReadFrom(r)
	}
	n, _ := io.CopyN(s.Body, r, s.stop)
	_, _ = io.CopyN(io.Discard, r, s.lose)
	s.stop = 0
	return n, os.ErrDeadlineExceeded
}

// large returns a file of several pieces that is larger than all buffers between server and client.
func large(t *testing.T) (*os.File, []byte) {
	t.Helper()
	content := bytes.Repeat([]byte("0123456789abcdef"), (2*pieceSize+4096)/16)
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, content
}

// TestFilesReachTheSocket checks that net/http can use sendfile.
func TestFilesReachTheSocket(t *testing.T) {
	file, content := large(t)
	s := &socket{ResponseRecorder: httptest.NewRecorder()}
	w := &writer{ResponseWriter: s, stall: time.Minute, started: time.Now()}
	w.begin()
	n, err := io.CopyN(w, file, int64(len(content)))
	if err != nil || n != int64(len(content)) || w.sent != n || !bytes.Equal(s.Body.Bytes(), content) {
		t.Errorf("sent %d of %d, counted %d, %v", n, len(content), w.sent, err)
	}
	if len(s.from) != 3 {
		t.Errorf("%d pieces", len(s.from))
	}
	for _, from := range s.from {
		if from != io.Reader(file) {
			t.Errorf("the socket read from %v, want the file", from)
		}
	}
}

// TestSlowReaderGetsMoreTime: a client that received a part of a piece in time gets the rest, each byte once.
func TestSlowReaderGetsMoreTime(t *testing.T) {
	for name, lose := range map[string]int64{"sent as read": 0, "read and lost": 3} {
		t.Run(name, func(t *testing.T) {
			file, content := large(t)
			s := &socket{ResponseRecorder: httptest.NewRecorder(), stop: 1000, lose: lose}
			w := &writer{ResponseWriter: s, stall: time.Minute, started: time.Now()}
			w.begin()
			n, err := io.CopyN(w, file, int64(len(content)))
			switch {
			case lose == 0 && (err != nil || !bytes.Equal(s.Body.Bytes(), content)):
				t.Errorf("sent %d of %d, %v", n, len(content), err)
			case lose > 0 && (!errors.Is(err, os.ErrDeadlineExceeded) || n != 1000):
				t.Errorf("sent %d, %v: want it cut off where bytes were lost", n, err)
			}
		})
	}
}

// stalled serves a large file to a client that does nothing. It returns the error of the handler.
func stalled(t *testing.T, stall time.Duration, handler func(http.ResponseWriter, *http.Request) error, client func(net.Conn)) error {
	t.Helper()
	met := make(chan error, 1)
	f := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { met <- handler(w, r) }), Options{}, Settings{StallTimeout: stall})
	server := httptest.NewServer(f)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client(conn)
	return <-met
}

func TestStalledReaderIsDisconnected(t *testing.T) {
	file, content := large(t)
	for name, from := range map[string]io.Reader{"a file": file, "memory": bytes.NewReader(content)} {
		err := stalled(t, time.Millisecond, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, err := io.CopyN(w, from, int64(len(content)))
			return err
		}, func(conn net.Conn) { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") })
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStalledSenderIsDisconnected(t *testing.T) {
	err := stalled(t, time.Millisecond, func(_ http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestReadDeadlineEndsWithTheBody: processing the body may take longer than the stall timeout.
func TestReadDeadlineEndsWithTheBody(t *testing.T) {
	err := stalled(t, time.Millisecond, func(_ http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		late := time.NewTimer(deadlineStep + deadlineStep/2)
		defer late.Stop()
		select {
		case <-late.C:
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345")
	})
	if err != nil {
		t.Error(err)
	}
}
