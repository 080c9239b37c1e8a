package prefetch_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/prefetch"
	"airmirror/upstream"
)

// remote is a registry that counts how many bytes of blobs are fetched from it.
type remote struct {
	http.Handler
	t      *testing.T
	blobs  atomic.Int64
	broken atomic.Bool
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.broken.Load() {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
		w = &countingWriter{w, &r.blobs}
	}
	r.Handler.ServeHTTP(w, req)
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

// push pushes an image with these layers.
func (r *remote) push(repo, tag string, layers ...string) {
	r.t.Helper()
	doc := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: r.blob(repo, "{}")}
	doc.SchemaVersion = 2
	for _, layer := range layers {
		doc.Layers = append(doc.Layers, r.blob(repo, layer))
	}
	r.put("/v2/"+repo+"/manifests/"+tag, v1.MediaTypeImageManifest, marshal(r.t, doc))
}

func (r *remote) blob(repo, content string) v1.Descriptor {
	r.t.Helper()
	d := digest.FromString(content)
	req := httptest.NewRequest("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), strings.NewReader(content))
	r.do(req)
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

func (r *remote) put(path, contentType string, body []byte) {
	r.t.Helper()
	req := httptest.NewRequest("PUT", path, bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	r.do(req)
}

func (r *remote) do(req *http.Request) {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.Handler.ServeHTTP(w, req)
	if w.Code != http.StatusCreated {
		r.t.Fatalf("%s %s: %d %s", req.Method, req.URL, w.Code, w.Body)
	}
}

// newMirror returns a mirror and its upstream, registry.test.
func newMirror(t *testing.T) (*proxy.Proxy, *remote) {
	t.Helper()
	r := &remote{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), t: t}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	client, err := upstream.New([]upstream.Config{{Host: "registry.test", Endpoints: []upstream.EndpointConfig{{URL: server.URL}}}},
		upstream.Options{Timeout: 2 * time.Second})
	must(t, err)
	folder := t.TempDir()
	store, err := cache.Open(cache.Config{Folder: folder})
	must(t, err)
	m, err := proxy.New(store, client, proxy.Options{Names: mirror.Names{Default: "registry.test"}})
	must(t, err)
	t.Cleanup(func() {
		must(t, m.Close(context.Background()))
		must(t, store.Close())
	})
	return m, r
}

func TestImagesAreFetchedCompletelyAndOnce(t *testing.T) {
	m, r := newMirror(t)
	r.push("org/app", "1.0.0", "base", "one")
	r.push("org/app", "1.1.0", "base", "two")
	r.push("org/app", "2.0.0", "base", "three")
	r.push("tool", "latest", "tool")
	req := prefetch.Request{Images: []string{"org/app", "registry.test/org/app"}, Tags: []string{"^1"}}
	summary, _, last := run(t, t.Context(), m, req)
	const size = int64(len("{}") + len("base") + len("one") + len("two"))
	if summary.Failed != 0 || summary.Images != 2 || summary.New < size || r.blobs.Load() != size {
		t.Errorf("%+v, %d bytes were transferred, want %d", summary, r.blobs.Load(), size)
	}
	if last.Done != last.Total {
		t.Errorf("%d of %d bytes at the end", last.Done, last.Total)
	}
	summary, _, _ = run(t, t.Context(), m, req)
	if summary.Failed != 0 || summary.New != 0 || r.blobs.Load() != size {
		t.Errorf("again: %+v, %d bytes were transferred", summary, r.blobs.Load())
	}
	summary, _, _ = run(t, t.Context(), m, prefetch.Request{Images: []string{"tool", "org/app:3.0.0"}})
	failed(t, summary, "registry.test/org/app:3.0.0: ")

	must(t, m.SetMode(t.Context(), mirror.Offline))
	summary, _, _ = run(t, t.Context(), m, prefetch.Request{Images: []string{"tool", "org/app:1.0.0", "org/app:1.1.0", "org/app:2.0.0"}})
	failed(t, summary, "registry.test/org/app:2.0.0: ")
	count := 0
	for image, err := range m.Images(t.Context(), mirror.ImageMatch{}) {
		must(t, err)
		if count++; !image.Complete {
			t.Errorf("%s:%s is not complete", image.Repo, image.Tag)
		}
	}
	if count != 3 {
		t.Errorf("%d images are stored, want 3", count)
	}
}

func TestWantsOfAnotherMirrorAreFetched(t *testing.T) {
	inside, _ := newMirror(t)
	must(t, inside.SetMode(t.Context(), mirror.Offline))
	staging, r := newMirror(t)
	r.push("org/app", "1.0.0", "layer")
	layer := digest.FromString("layer")
	repo := mirror.Repo{Host: "registry.test", Path: "org/app"}
	_, _ = inside.Manifest(t.Context(), mirror.Ref{Repo: repo, Tag: "1.0.0"})
	_, _ = inside.Blob(t.Context(), repo, layer)
	r.broken.Store(true)
	summary, _, _ := run(t, t.Context(), staging, prefetch.Request{Wants: inside.Wants()})
	if summary.Failed != 2 || len(staging.Wants()) != 0 { // no client of staging requested them
		t.Errorf("%+v, wants %+v", summary, staging.Wants())
	}
	r.broken.Store(false)
	must(t, staging.SetMode(t.Context(), mirror.Online))
	summary, _, _ = run(t, t.Context(), staging, prefetch.Request{Wants: inside.Wants()})
	if summary.Failed != 0 || len(staging.Wants()) != 0 {
		t.Errorf("%+v, wants %+v", summary, staging.Wants())
	}
	blob, err := staging.Blob(t.Context(), repo, layer)
	must(t, err)
	must(t, blob.Close())
}
