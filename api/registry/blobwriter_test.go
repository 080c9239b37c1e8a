package registry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// socket records the reader that it gets.
type socket struct {
	*httptest.ResponseRecorder
	from []io.Reader
}

func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	s.from = append(s.from, r.(*io.LimitedReader).R)
	return s.Body.ReadFrom(r)
}

// arriving is a blob in download that gives access to its file.
type arriving struct {
	*strings.Reader
	file *os.File
}

func (a arriving) CopyTo(w io.Writer, n int64) (int64, error) {
	at, _ := a.Seek(0, io.SeekCurrent)
	_, _ = a.file.Seek(at, io.SeekStart)
	return io.CopyN(w, a.file, n)
}

// TestFilesReachTheSocket checks that net/http can use sendfile, for blobs and parts of blobs.
func TestFilesReachTheSocket(t *testing.T) {
	const content = "0123456789"
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, blob := range map[string]io.ReadSeeker{
		"held": file, "arriving": arriving{strings.NewReader(content), file},
	} {
		for ranges, want := range map[string]string{"": content, "bytes=2-5": "2345", "bytes=-3": "789"} {
			t.Run(name+" "+ranges, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				if ranges != "" {
					r.Header.Set("Range", ranges)
				}
				s := &socket{ResponseRecorder: httptest.NewRecorder()}
				s.Header()["Content-Type"] = octetStream
				x := &exchange{ResponseWriter: s, r: r}
				http.ServeContent(&blobWriter{exchange: x}, r, "", time.Time{}, blob)
				if got := s.Body.String(); got != want {
					t.Errorf("sent %q, want %q", got, want)
				}
				if len(s.from) != 1 || s.from[0] != io.Reader(file) {
					t.Errorf("the socket read from %v, want the file", s.from)
				}
			})
		}
	}
}
