//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a line between a mirror and its upstream that breaks, and that knows which bytes of which blob came over it.
type wire struct {
	flag string // that makes a mirror use it
	to   string
	via  *http.Transport

	mu    sync.Mutex
	cuts  map[string][]cut // by digest, those still to come
	parts []part
}

// cut is where a blob breaks off.
type cut struct {
	at    int64 // of the blob's bytes that come before
	reset bool  // the connection is torn down, and not merely closed
}

// part is what came over the wire as the answer to one GET of a blob.
type part struct {
	digest      string
	from, bytes int64
}

func newWire(t *testing.T, to *upstream) *wire {
	t.Helper()
	w := &wire{to: to.addr, via: &http.Transport{DisableCompression: true}, cuts: map[string][]cut{}}
	server := httptest.NewUnstartedServer(w)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, w, c)
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		w.via.CloseIdleConnections()
	})
	w.flag = "--upstream=docker.io=" + server.URL
	return w
}

// ServeHTTP passes a request on, and the answer back.
func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	request := r.Clone(r.Context())
	request.URL.Scheme, request.URL.Host, request.RequestURI = "http", w.to, ""
	response, err := w.via.RoundTrip(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer response.Body.Close()
	maps.Copy(out.Header(), response.Header)
	out.WriteHeader(response.StatusCode)
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") || response.StatusCode >= 300 {
		if _, err := io.Copy(out, response.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	w.pass(out, r, response.Body)
}

// pass passes on what is asked for of a blob, up to the next cut.
func (w *wire) pass(out http.ResponseWriter, r *http.Request, body io.Reader) {
	p := part{digest: path.Base(r.URL.Path)}
	if asked := r.Header.Get("Range"); asked != "" {
		if _, err := fmt.Sscanf(asked, "bytes=%d-", &p.from); err != nil {
			panic(err)
		}
	}
	next, breaks := w.next(p.digest)
	if breaks {
		body = io.LimitReader(body, next.at-p.from)
	}
	var err error
	p.bytes, err = io.Copy(out, body)
	connection := r.Context().Value(w).(*net.TCPConn)
	if breaks && err == nil {
		if err = http.NewResponseController(out).Flush(); err == nil {
			err = arrived(r.Context(), connection)
		}
	}
	w.mu.Lock()
	w.parts = append(w.parts, p)
	w.mu.Unlock()
	if !breaks && err == nil {
		return
	}
	if next.reset {
		_ = connection.SetLinger(0) // what it cannot do, the close does in its own way
	}
	connection.Close()
	panic(http.ErrAbortHandler)
}

// next takes the next cut of a blob.
func (w *wire) next(digest string) (c cut, breaks bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.cuts[digest]) == 0 {
		return c, false
	}
	c, w.cuts[digest] = w.cuts[digest][0], w.cuts[digest][1:]
	return c, true
}

// breaks has a blob break off at these places, one after the other.
func (w *wire) breaks(digest string, cuts ...cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts[digest] = cuts
}

// of lists the parts in which a blob came, in the order in which they were asked for.
func (w *wire) of(digest string) []part {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.parts), func(p part) bool { return p.digest != digest })
}

// arrived waits until the other end has acknowledged every byte, so that none is lost by tearing the connection down.
func arrived(ctx context.Context, connection *net.TCPConn) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		var left int
		var failed error
		if err := raw.Control(func(fd uintptr) { left, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			return err
		}
		if failed != nil || left == 0 {
			return failed
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestDockerPullsOverALinkThatIsCutThreeTimes: the daemon notices nothing, and the upstream sends every byte once.
func TestDockerPullsOverALinkThatIsCutThreeTimes(t *testing.T) {
	hub := startUpstream(t)
	wire := newWire(t, hub)
	mirror := startMirror(t, wire.flag)
	docker := startDocker(t, mirror.addr)
	big, layer := bigIndex(t, 200<<20)
	push(t, big, hub.addr+"/library/airmirror-big:1")
	digest, size := layer.String(), layer.size
	wire.breaks(digest, cut{at: size/4 + 1}, cut{at: size/2 + 3, reset: true}, cut{at: size - 5, reset: true})

	docker.do(t, "pull", "--quiet", "airmirror-big:1")

	parts := wire.of(digest)
	var end int64
	for i, p := range parts {
		if p.from != end {
			t.Errorf("GET %d of the layer asked for what is from byte %d on, want %d, where the one before stopped", i+1, p.from, end)
		}
		end += p.bytes
	}
	if end != size || len(parts) != 4 {
		t.Errorf("%d bytes came in %d parts, want %d in 4: %+v", end, len(parts), size, parts)
	}
	mirror.wantComplete(t, "airmirror-big:1")
}
