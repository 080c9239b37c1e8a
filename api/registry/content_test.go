package registry_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// piped is an upstream with one blob of unknown size, whose bytes come from a pipe.
type piped struct {
	mirror.Upstream
	body *io.PipeReader
}

func (u *piped) Blob(context.Context, mirror.Repo, digest.Digest) (io.ReadCloser, int64, error) {
	return u.body, -1, nil
}

func (u *piped) Resolve(context.Context, mirror.Ref) (d v1.Descriptor, err error) {
	return d, mirror.Errorf(mirror.CodeManifestUnknown, "it has none")
}

const unsized = "0123456789"

// TestBlobOfUnknownSizeIsStreamed: the client gets bytes as they arrive, and a clean end only if all of them are right.
func TestBlobOfUnknownSizeIsStreamed(t *testing.T) {
	for rest, right := range map[string]bool{"456789": true, "45678!": false, "4567": false} {
		t.Run(rest, func(t *testing.T) {
			body, send := io.Pipe()
			s := &server{t: t, dir: t.TempDir(), upstream: &piped{body: body}}
			s.run(registry.Options{})
			go io.WriteString(send, "0123")
			req, err := http.NewRequest("GET", s.url+"/v2/app/blobs/"+digest.FromString(unsized).String(), nil)
			s.must(err)
			req.Header.Set("Range", "bytes=2-3") // not supported here, so it is ignored
			resp, err := http.DefaultClient.Do(req)
			s.must(err)
			defer resp.Body.Close()
			if resp.StatusCode != 200 || resp.ContentLength != -1 || resp.Header.Get("Accept-Ranges") != "" {
				t.Errorf("%s, Content-Length %d, %v", resp.Status, resp.ContentLength, resp.Header)
			}
			begin := make([]byte, 3)
			if _, err := io.ReadFull(resp.Body, begin); err != nil || string(begin) != "012" {
				t.Fatalf("%q, %v", begin, err)
			}
			io.WriteString(send, rest)
			send.Close()
			got, err := io.ReadAll(resp.Body)
			if right && (err != nil || string(got) != "3456789") || !right && err == nil {
				t.Errorf("then %q, %v", got, err)
			}
		})
	}
}

// TestBlobOfUnknownSizeForHTTP10: the response waits until the size is known.
func TestBlobOfUnknownSizeForHTTP10(t *testing.T) {
	body, send := io.Pipe()
	s := &server{t: t, dir: t.TempDir(), upstream: &piped{body: body}}
	s.run(registry.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.must(err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v2/app/blobs/%s HTTP/1.0\r\n\r\n", digest.FromString(unsized))
	go func() {
		io.WriteString(send, unsized)
		send.Close()
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.must(err)
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != unsized || resp.ContentLength != int64(len(unsized)) {
		t.Errorf("%q, Content-Length %d, %v", got, resp.ContentLength, err)
	}
}
