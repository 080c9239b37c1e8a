//go:build bench

package bench_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstreamSpec is a registry that has images and may be slow.
type upstreamSpec struct {
	Images []image
	Rate   int64 // of its line, in bytes per second, for all clients together; no limit if zero
}

// serveUpstream makes the layers' bytes as it sends them, so that it reads no disk that a mirror writes to. At /asked/
// and a path it says how often that path was asked for with GET.
func serveUpstream(spec upstreamSpec) http.Handler {
	u := &upstream{line: line{rate: spec.Rate}, asked: map[string]int{}}
	u.files = map[string]file{"/v2/": {mediaType: "application/json", data: []byte("{}")}}
	u.layers = map[string]stream{}
	for _, i := range spec.Images {
		manifest := i.manifest()
		u.files[i.manifestPath()] = file{manifestType, manifest}
		u.files["/v2/"+imageRepo+"/manifests/"+digestOfBytes(manifest)] = file{manifestType, manifest}
		u.files["/v2/"+imageRepo+"/blobs/"+digestOfBytes(i.config())] = file{"application/octet-stream", i.config()}
		u.layers[i.layerPath()] = i.Layer
	}
	return u
}

type upstream struct {
	files  map[string]file
	layers map[string]stream
	line   line

	mu    sync.Mutex
	asked map[string]int
}

type file struct {
	mediaType string
	data      []byte
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if about, ok := strings.CutPrefix(path, "/asked"); ok {
		u.mu.Lock()
		defer u.mu.Unlock()
		fmt.Fprint(w, u.asked[about])
		return
	}
	if r.Method == http.MethodGet {
		u.mu.Lock()
		u.asked[path]++
		u.mu.Unlock()
	}
	h := w.Header()
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	if f, ok := u.files[path]; ok {
		h.Set("Content-Type", f.mediaType)
		h.Set("Content-Length", strconv.Itoa(len(f.data)))
		h.Set("Docker-Content-Digest", digestOfBytes(f.data))
		_, _ = w.Write(f.data)
		return
	}
	layer, ok := u.layers[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(layer.Size, 10))
	h.Set("Docker-Content-Digest", path[strings.LastIndexByte(path, '/')+1:])
	if r.Method == http.MethodHead {
		return
	}
	_ = layer.each(func(piece []byte) error {
		if u.line.rate == 0 {
			_, err := w.Write(piece)
			return err
		}
		for part := range slices.Chunk(piece, 8<<10) {
			u.line.wait(len(part))
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
}

// line is a line of limited speed: bytes leave it one after the other.
type line struct {
	rate int64
	mu   sync.Mutex
	free time.Time // when what was sent so far is through
}

// wait returns when n more bytes are through. A line that stood idle has not saved up anything.
func (l *line) wait(n int) {
	l.mu.Lock()
	now := time.Now()
	if l.free.Before(now.Add(-10 * time.Millisecond)) { // as long as a sleep may be late
		l.free = now
	}
	l.free = l.free.Add(time.Duration(int64(n) * int64(time.Second) / l.rate))
	free := l.free
	l.mu.Unlock()
	time.Sleep(time.Until(free))
}

// transfers is how often the upstream was asked for the image's layer.
func transfers(b *testing.B, upstream *server, i image) int {
	b.Helper()
	c, err := dial(upstream.addr)
	check(b, err)
	defer c.Close()
	_, body, err := c.do(http.StatusOK, http.MethodGet, "/asked"+i.layerPath(), "", nil, nil)
	check(b, err)
	n, err := strconv.Atoi(string(body))
	check(b, err)
	return n
}
