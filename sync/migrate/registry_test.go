package migrate_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/sync/progress"
	"airmirror/upstream"
)

// remote is a registry at registry.test.
type remote struct {
	t      *testing.T
	inner  http.Handler
	client *upstream.Client

	mu       sync.Mutex
	requests []string                             // methods and paths
	instead  map[string]func(http.ResponseWriter) // responses that replace those of the registry, by path
}

func newRemote(t *testing.T) *remote {
	r := &remote{t: t, instead: make(map[string]func(http.ResponseWriter)),
		inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	var err error
	r.client, err = upstream.New([]upstream.Config{{Host: "registry.test", Endpoints: []upstream.EndpointConfig{{URL: server.URL}}}},
		upstream.Options{Timeout: 5 * time.Second, RetryFor: -1})
	must(t, err)
	return r
}

func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	instead := r.instead[req.URL.Path]
	r.mu.Unlock()
	if instead != nil {
		instead(w)
		return
	}
	r.inner.ServeHTTP(w, req)
}

// answer replaces the response to a path by f, or restores it if f is nil.
func (r *remote) answer(path string, f func(http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead[path] = f
}

// requestCount returns the number of requests since the last call that contain part.
func (r *remote) requestCount(part string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.requests {
		if strings.Contains(request, part) {
			n++
		}
	}
	r.requests = nil
	return n
}

func (r *remote) do(method, path, contentType string, body []byte) {
	r.t.Helper()
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req)
	if w.Code != http.StatusCreated {
		r.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

// put pushes a manifest, by its digest if tag is empty.
func (r *remote) put(name, tag, mediaType string, doc any) digest.Digest {
	r.t.Helper()
	body := marshal(r.t, doc)
	d := digest.FromBytes(body)
	if tag == "" {
		tag = d.String()
	}
	r.do("PUT", "/v2/"+name+"/manifests/"+tag, mediaType, body)
	return d
}

// image pushes an image.
func (r *remote) image(name, tag string, layers ...string) digest.Digest {
	r.t.Helper()
	for _, content := range append([]string{"{}"}, layers...) {
		r.do("POST", "/v2/"+name+"/blobs/uploads/?digest="+digest.FromString(content).String(), "application/octet-stream", []byte(content))
	}
	return r.put(name, tag, v1.MediaTypeImageManifest, imageOf(layers...))
}

// move migrates everything.
func (r *remote) move(h testStore, req migrate.Request) (migrate.Summary, eventList, error) {
	r.t.Helper()
	req.From = "registry.test"
	var p progress.Reporter
	var events eventList
	s, err := migrate.Registry(r.t.Context(), h, mirror.Names{}, r.client, req, &p, func(e migrate.Event) { events = append(events, e) })
	if err == nil {
		events.check(r.t, s, p.Snapshot())
	}
	return s, events, err
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func TestRegistryIsMigrated(t *testing.T) {
	r, h := newRemote(t), newTestStore(t, t.TempDir())
	app := r.image("team/app", "v1", "base", "app")
	r.image("team/app", "v2", "base", "app two")
	r.image("tool", "latest", "base")
	child := r.image("tool", "", "child")
	index := r.put("tool", "index", v1.MediaTypeImageIndex, indexOf(t, imageOf("child")))
	signature := imageOf("base")
	signature.ArtifactType = "application/signature"
	signature.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: app, Size: int64(len(marshal(t, imageOf("base", "app"))))}
	signed := r.put("team/app", "", v1.MediaTypeImageManifest, signature)

	s, events, err := r.move(h, migrate.Request{})
	must(t, err)
	if s.Repositories != 2 || s.Tags != 4 || s.Manifests != 6 || s.Skipped != 0 || s.Linked != 0 || s.Blobs != 5+6 {
		t.Errorf("%+v, skipped %v", s, events.skipped())
	}
	if n := r.requestCount("/blobs/"); n != 5 {
		t.Errorf("%d blobs were requested, want 5", n)
	}
	for _, d := range []digest.Digest{app, signed} {
		h.wantComplete("team/app", d)
	}
	for _, d := range []digest.Digest{child, index} {
		h.wantComplete("tool", d)
	}
	if list, _, err := h.Referrers(t.Context(), bare("team/app"), app, "", 10, 1<<20); err != nil || len(list) != 1 || list[0].Digest != signed {
		t.Errorf("referrers: %v, %v", list, err)
	}
	for _, name := range []string{"team/app", "tool"} {
		if origin, err := h.RepoOrigin(t.Context(), bare(name)); err != nil || origin != mirror.Pushed {
			t.Errorf("%s is %s, %v", name, origin, err)
		}
	}
	again, _, err := r.move(h, migrate.Request{})
	must(t, err)
	if again.Blobs != 0 || again.Tags != 4 || r.requestCount("/blobs/") != 0 {
		t.Errorf("again: %+v", again)
	}
}

func TestRegistryWithoutACatalog(t *testing.T) {
	r, h := newRemote(t), newTestStore(t, t.TempDir())
	r.image("team/app", "v1", "app")
	r.image("team/tool", "v1", "tool")
	r.answer("/v2/_catalog", status(http.StatusNotFound))
	for _, repos := range [][]string{nil, {"team/*"}, {"team/app", "**"}} {
		_, _, err := r.move(h, migrate.Request{Repos: repos})
		if mirror.CodeOf(err) != mirror.CodeNameUnknown || !strings.Contains(err.Error(), "name the repositories to migrate with --repo, in full") {
			t.Errorf("%v: %v", repos, err)
		}
	}
	r.requestCount("")
	s, events, err := r.move(h, migrate.Request{Repos: []string{"team/app", "absent", "Upper"}})
	must(t, err)
	if left := events.skipped(); s.Tags != 1 || s.Skipped != 2 || !strings.Contains(left["absent"], "does not have") || !strings.Contains(left["Upper"], "not a repository name") {
		t.Errorf("%+v, skipped %v", s, left)
	}
	if h.tag("team/tool", "v1") != "" || r.requestCount("_catalog") != 0 {
		t.Error("a repository that was not named was migrated")
	}
}

// TestRegistryThatFails has a registry without, with damaged or with unreadable content. That is skipped, and everything
// else is migrated. A tag of this mirror is not moved to an incomplete image.
func TestRegistryThatFails(t *testing.T) {
	layer, child := digest.FromString("bad layer"), imageDigest(t, "bad layer")
	blob, manifest := "/v2/bad/blobs/"+layer.String(), "/v2/bad/manifests/"+child.String()
	send := func(content string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { io.WriteString(w, content) }
	}
	for name, test := range map[string]struct {
		path   string
		answer func(http.ResponseWriter)
		index  bool // is migrated, though it lacks the content
		what   string
		says   string
	}{
		"no blob":             {blob, status(http.StatusNotFound), true, "bad@" + child.String(), "does not have"},
		"blob fails":          {blob, status(http.StatusInternalServerError), false, "bad@" + child.String(), "500"},
		"blob is another":     {blob, send("BAD LAYER"), true, "bad@" + child.String(), "not " + layer.String()},
		"blob is longer":      {blob, send("bad layer and more"), true, "bad@" + child.String(), "has 18 bytes, not 9"},
		"blob has no end":     {blob, func(w http.ResponseWriter) { io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20))) }, true, "bad@" + child.String(), "does not have the 9 bytes"},
		"manifest fails":      {manifest, status(http.StatusBadGateway), false, "bad@" + child.String(), "502"},
		"manifest is another": {manifest, send("{}"), false, "bad@" + child.String(), ""},
		"tags fail":           {"/v2/bad/tags/list", status(http.StatusInternalServerError), false, "bad", "500"},
		"referrers fail":      {"/v2/bad/referrers/" + child.String(), status(http.StatusInternalServerError), true, "bad@" + child.String(), "its referrers cannot be listed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, h := newRemote(t), newTestStore(t, t.TempDir())
			good := r.image("good", "v1", "base")
			r.image("bad", "before", "base")
			_, _, err := r.move(h, migrate.Request{})
			must(t, err)
			r.image("bad", "", "bad layer")
			index := r.put("bad", "index", v1.MediaTypeImageIndex, indexOf(t, imageOf("bad layer")))
			r.answer(test.path, test.answer)
			s, events, err := r.move(h, migrate.Request{})
			must(t, err)
			if got := h.tag("bad", "index"); (got == index) != test.index || h.tag("good", "v1") != good {
				t.Errorf("the tag points at %q", got)
			}
			why, left := events.skipped()[test.what]
			if !left || s.Skipped == 0 || !strings.Contains(why, test.says) {
				t.Errorf("skipped %q", events.skipped())
			}
			r.answer(test.path, nil)
			if s, _, err := r.move(h, migrate.Request{}); err != nil || s.Skipped != 0 || h.tag("bad", "index") != index {
				t.Errorf("again: %+v, %v", s, err)
			}
			h.wantComplete("bad", index)
		})
	}
}
