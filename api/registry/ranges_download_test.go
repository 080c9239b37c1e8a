package registry_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// halting is an upstream with one blob that sends only parts of it for now.
type halting struct {
	mirror.Upstream
	content string
	more    chan struct{}
}

func (u *halting) Blob(ctx context.Context, _ mirror.Repo, _ digest.Digest) (io.ReadCloser, int64, error) {
	body, send := io.Pipe()
	go func() {
		<-u.more
		_, err := io.WriteString(send, u.content)
		_ = send.CloseWithError(err)
	}()
	return body, int64(len(u.content)), nil
}

func (u *halting) BlobPart(_ context.Context, _ mirror.Repo, _ digest.Digest, off, n int64) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader(u.content[off : off+n])), int64(len(u.content)), nil
}

// TestRangeOfBlobInDownload: ranges of a blob whose download has just begun are fetched from the upstream.
func TestRangeOfBlobInDownload(t *testing.T) {
	up := &halting{content: strings.Repeat("0123456789abcdef", 1<<18), more: make(chan struct{})}
	s := &server{t: t, dir: t.TempDir(), upstream: up}
	s.run(registry.Options{})
	path := "/v2/app/blobs/" + digest.FromString(up.content).String()
	size := len(up.content)
	got := s.do(206, "GET", path, nil, "Range", "bytes=-51")
	if string(got.body) != up.content[size-51:] || got.ContentLength != 51 {
		t.Errorf("the end: %q, %v", got.body, got.Header)
	}
	got = s.do(206, "GET", path, nil, "Range", "bytes=2000000-2000009,3000000-3000019")
	for _, part := range []string{up.content[2000000:2000010], up.content[3000000:3000020]} {
		if !bytes.Contains(got.body, []byte("\r\n\r\n"+part+"\r\n")) {
			t.Errorf("%q is not in %q", part, got.body)
		}
	}
	close(up.more)
	if got := s.do(200, "GET", path, nil); string(got.body) != up.content {
		t.Errorf("the whole has %d bytes", len(got.body))
	}
}
