package registry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// largeManifest returns a valid manifest of size bytes that refers to nothing.
func largeManifest(size int) []byte {
	doc := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"x":"`)
	return fmt.Appendf(doc, "%s\"}}", strings.Repeat("y", size-len(doc)-3))
}

const index = "application/vnd.oci.image.index.v1+json"

// TestLargeManifestIsReturnedUnchanged: whether its length was known in advance or not, and for all kinds of requests.
func TestLargeManifestIsReturnedUnchanged(t *testing.T) {
	s := start(t, registry.Options{})
	doc := largeManifest(mirror.MaxManifestSize)
	d := digest.FromBytes(doc).String()
	s.do(201, "PUT", "/v2/app/manifests/1", bytes.NewReader(doc), "Content-Type", index)
	s.do(201, "PUT", "/v2/app/manifests/2", struct{ *bytes.Reader }{bytes.NewReader(doc)}, "Content-Type", index) // chunked
	s.refused(413, mirror.CodeManifestTooLarge, "PUT", "/v2/app/manifests/3", bytes.NewReader(append(doc, ' ')), "Content-Type", index)
	for _, ref := range []string{"1", "2", d} {
		a := s.do(200, "GET", "/v2/app/manifests/"+ref, nil)
		if !bytes.Equal(a.body, doc) {
			t.Errorf("%s: %d bytes, want %d", ref, len(a.body), len(doc))
		}
		for header, want := range map[string]string{"Content-Type": index, "Docker-Content-Digest": d, "Content-Length": fmt.Sprint(len(doc))} {
			s.header(a, header, want)
			s.header(s.do(200, "HEAD", "/v2/app/manifests/"+ref, nil), header, want)
		}
		s.do(304, "GET", "/v2/app/manifests/"+ref, nil, "If-None-Match", a.Header.Get("ETag"))
		if a := s.do(200, "GET", "/v2/app/manifests/"+ref, nil, "Range", "bytes=1-2"); !bytes.Equal(a.body, doc) {
			t.Errorf("with a range: %d bytes", len(a.body)) // ranges are not supported for manifests
		}
	}
}

// stuck starts to push a manifest and does not finish.
func stuck(t *testing.T, s *server, i int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.must(err)
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "PUT /v2/app/manifests/stuck%d HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", i, index, mirror.MaxManifestSize)
	s.must(err)
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n" // the server reads the body
	_, err = io.ReadFull(conn, make([]byte, len(goOn)))
	s.must(err)
	return conn
}

// TestUnfinishedPushesUseTheDisk: they do not take memory from other clients, whose pushes go through a file.
func TestUnfinishedPushesUseTheDisk(t *testing.T) {
	s := start(t, registry.Options{})
	for i := range 40 { // of 4 MiB each; half of the budget is 16 of them
		stuck(t, s, i)
	}
	for size, want := range map[int]int{1000: 201, mirror.MaxManifestSize: 201, mirror.MaxManifestSize + 1: 413} {
		doc := largeManifest(size)
		s.do(want, "PUT", "/v2/app/manifests/1", bytes.NewReader(doc), "Content-Type", index)
		if want == 201 {
			if a := s.do(200, "GET", "/v2/app/manifests/1", nil); !bytes.Equal(a.body, doc) {
				t.Errorf("%d bytes came back of %d", len(a.body), size)
			}
		}
	}
	s.refused(400, mirror.CodeManifestInvalid, "PUT", "/v2/app/manifests/1", strings.NewReader("{"), "Content-Type", index)
	conn := stuck(t, s, 41)
	s.must(conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.must(err)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(body), "the manifest is truncated") {
		t.Errorf("what broke off is answered %s: %s", resp.Status, body)
	}
}

// fileSocket is a response writer that records whether it gets a file to send.
type fileSocket struct {
	*httptest.ResponseRecorder
	files int
}

func (s *fileSocket) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			s.files++
		}
	}
	return s.Body.ReadFrom(r)
}

// TestLargeManifestIsSentFromItsFile: as with a blob, the bytes are not copied through this process.
func TestLargeManifestIsSentFromItsFile(t *testing.T) {
	s := start(t, registry.Options{})
	doc := largeManifest(1 << 20)
	s.do(201, "PUT", "/v2/app/manifests/1", bytes.NewReader(doc), "Content-Type", index)
	w := &fileSocket{ResponseRecorder: httptest.NewRecorder()}
	s.handler.ServeHTTP(w, httptest.NewRequest("GET", "/v2/app/manifests/1", nil))
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), doc) || w.files != 1 {
		t.Errorf("%d, %d bytes, of %d files", w.Code, w.Body.Len(), w.files)
	}
}
