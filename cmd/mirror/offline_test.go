package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

func TestOfflineMirrorContactsNoUpstream(t *testing.T) {
	up := newOrigin(t)
	img := up.image("library/app:v1")
	s := newSubject(t, up.URL)
	s.pull("library/app:v1", img)
	s.stop()

	// Whatever is dialled from here on is counted: the upstream's own address, and any that a request names.
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer trap.Close()
	dialled := make(chan string, 100)
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			dialled <- conn.RemoteAddr().String()
			conn.Close()
		}
	}()
	s.start("http://"+trap.Addr().String(), offline, upstreamTimeout(time.Hour))
	s.pull("library/app:v1", img)
	within(t, "misses", func() {
		s.get(404, "/v2/library/app/manifests/v2")
		s.get(404, "/v2/library/other/manifests/v2")
		s.get(404, "/v2/app/manifests/v2?ns="+trap.Addr().String())
		s.get(404, blobPath("library/app", hashOf("absent")))
		s.do(404, "HEAD", blobPath("library/app", hashOf("absent")))
	})
	ours, err := random.Image(1<<10, 1)
	must(t, err)
	push(t, s.URL, "team/app:v1", ours)
	s.pull("team/app:v1", ours)
	s.stop() // no work is left that could dial later
	select {
	case from := <-dialled:
		t.Errorf("a connection came from %s", from)
	default:
	}
}

func request(t *testing.T, url string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// within fails the test if f waits. The limit is far above what f takes on a busy machine, and below the timeouts that the
// test configures for what f must not wait for.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	const limit = 2 * time.Minute
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Errorf("%s still waits after %s", what, limit)
	}
}

func hashOf(text string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
}
