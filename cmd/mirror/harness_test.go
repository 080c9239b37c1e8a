package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	gcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"airmirror/api/registry"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
	"airmirror/upstream"
)

// TestMain makes the test binary run as the command, for scripts and for tests that kill it.
func TestMain(m *testing.M) {
	isCommand := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "mirror"
	if os.Getenv("DOCKER_CONFIG") == "" || !isCommand { // a script may set it for its commands
		os.Setenv("DOCKER_CONFIG", os.DevNull) // credentials of whoever runs the tests stay out of them
	}
	os.Setenv("MIRROR_AUTH_LOOPBACK_PUSH", "true") // the process of the tests listens, as proxies do, and pushes
	testscript.Main(m, map[string]func(){"mirror": main})
}

// origin is an upstream registry that counts requests and can misbehave.
type origin struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	asked  map[string]int // by method and path
	before http.HandlerFunc
}

func newOrigin(t *testing.T) *origin {
	o := &origin{t: t, asked: map[string]int{}}
	real := gcr.New(gcr.Logger(log.New(io.Discard, "", 0)))
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.asked[r.Method+" "+r.URL.Path]++
		before := o.before
		o.mu.Unlock()
		if before != nil {
			before(w, r)
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Server.Close)
	return o
}

// misbehave runs f before each request. f can abort the request by a panic with http.ErrAbortHandler.
func (o *origin) misbehave(f http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before = f
}

// count returns how often a request was made.
func (o *origin) count(methodAndPath string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[methodAndPath]
}

// total returns how many requests were made.
func (o *origin) total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.asked {
		n += c
	}
	return n
}

// image pushes a random image under ref, which is repository:tag, and returns it.
func (o *origin) image(ref string) v1.Image {
	o.t.Helper()
	img, err := random.Image(1<<10, 2)
	must(o.t, err)
	push(o.t, o.URL, ref, img)
	return img
}

// blob pushes an image whose one layer is random bytes, and returns them with their digest.
func (o *origin) blob(ref string, size int) ([]byte, v1.Hash) {
	o.t.Helper()
	content := make([]byte, size)
	rand.Read(content)
	layer := static.NewLayer(content, types.OCILayer)
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	must(o.t, err)
	push(o.t, o.URL, ref, img)
	d, err := layer.Digest()
	must(o.t, err)
	return content, d
}

// subject is a mirror with a folder of its own.
type subject struct {
	*httptest.Server
	t    *testing.T
	dir  string
	stop func()
}

// newSubject starts a mirror in front of docker.io at the URL of an upstream; settings change its configuration.
func newSubject(t *testing.T, upstreamURL string, settings ...func(*config.Loaded)) *subject {
	s := &subject{t: t, dir: t.TempDir()}
	s.start(upstreamURL, settings...)
	return s
}

// start starts the mirror on its folder, again after stop.
func (s *subject) start(upstreamURL string, settings ...func(*config.Loaded)) {
	s.t.Helper()
	c := config.Loaded{Config: config.Default()}
	c.Data, c.Upstream, c.TagTTL = s.dir, []string{"docker.io=" + upstreamURL}, 0
	c.UpstreamTimeout, c.RetryFor = config.Duration(20*time.Second), config.Duration(500*time.Millisecond)
	for _, set := range settings {
		set(&c)
	}
	var err error
	c.Config, err = c.Complete(nil)
	must(s.t, err)
	instance, err := server.Open(s.t.Context(), c, server.Options{})
	must(s.t, err)
	s.Server = httptest.NewServer(registry.New(instance.Proxy, registry.Options{}))
	s.stop = sync.OnceFunc(func() {
		s.Server.Close()
		if err := instance.Close(context.WithoutCancel(s.t.Context())); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
}

func offline(c *config.Loaded) { c.Offline = true }
func upstreamTimeout(d time.Duration) func(*config.Loaded) {
	return func(c *config.Loaded) { c.UpstreamTimeout = config.Duration(d) }
}
func fresh(d time.Duration) func(*config.Loaded) {
	return func(c *config.Loaded) { c.TagTTL = config.TTL(d) }
}

// incomplete disables the backfill, so that only requested content is fetched.
func incomplete(c *config.Loaded) {
	_, url, _ := strings.Cut(c.Upstream[0], "=")
	hub := config.Upstream{Backfill: new(bool)}
	hub.Host, hub.Endpoints = "docker.io", []upstream.EndpointConfig{{URL: url}}
	c.Upstream, c.Upstreams = nil, []config.Upstream{hub}
}

func alsoUpstream(upstream string) func(*config.Loaded) {
	return func(c *config.Loaded) { c.Upstream = append(c.Upstream, upstream) }
}

// get fetches a path and fails the test unless it has the status.
func (s *subject) get(status int, path string, headers ...string) ([]byte, *http.Response) {
	s.t.Helper()
	return s.do(status, http.MethodGet, path, headers...)
}

func (s *subject) do(status int, method, path string, headers ...string) ([]byte, *http.Response) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, nil)
	must(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(s.t, err)
	if resp.StatusCode != status {
		s.t.Fatalf("%s %s: %s, want %d\n%s", method, path, resp.Status, status, body)
	}
	return body, resp
}

// pull pulls ref completely, as a client would, and compares it with want.
func (s *subject) pull(ref string, want v1.Image) {
	s.t.Helper()
	img, err := remote.Image(reference(s.t, s.URL, ref))
	must(s.t, err)
	same(s.t, img, want)
}

func same(t *testing.T, got, want v1.Image) {
	t.Helper()
	g, err := got.Digest()
	must(t, err)
	w, err := want.Digest()
	must(t, err)
	if g != w {
		t.Fatalf("image %s, want %s", g, w)
	}
	layers, err := got.Layers()
	must(t, err)
	for _, layer := range layers {
		r, err := layer.Compressed()
		must(t, err)
		_, err = io.Copy(io.Discard, r) // verified by the client
		must(t, err)
		r.Close()
	}
	_, err = got.RawConfigFile()
	must(t, err)
}

func push(t *testing.T, url, ref string, img v1.Image) {
	t.Helper()
	must(t, remote.Write(reference(t, url, ref), img))
}

func reference(t *testing.T, url, ref string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(strings.TrimPrefix(url, "http://")+"/"+ref, name.Insecure)
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// hash returns the digest of an image.
func hash(t *testing.T, img v1.Image) string {
	t.Helper()
	h, err := img.Digest()
	must(t, err)
	return h.String()
}

func blobPath(repo string, d fmt.Stringer) string { return fmt.Sprintf("/v2/%s/blobs/%s", repo, d) }
