package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// server is a registry, with an optional upstream.
type server struct {
	t   *testing.T
	dir string
	url string
	// handler serves url.
	handler http.Handler
	// upstream serves misses; may be nil.
	upstream mirror.Upstream
	// stop stops the server and closes its store.
	stop func()
}

func start(t *testing.T, opts registry.Options) *server {
	s := &server{t: t, dir: t.TempDir()}
	s.run(opts)
	return s
}

// run starts the server with the same folder again after stop.
func (s *server) run(opts registry.Options) {
	s.t.Helper()
	store, err := cache.Open(cache.Config{Folder: s.dir})
	s.must(err)
	m, err := proxy.New(store, s.upstream, proxy.Options{Offline: s.upstream == nil})
	s.must(err)
	s.handler = registry.New(m, opts)
	web := httptest.NewServer(s.handler)
	s.url = web.URL
	stopped := false
	s.stop = func() {
		if !stopped {
			stopped = true
			web.Close()
			s.must(store.Close())
		}
	}
	s.t.Cleanup(s.stop)
}

func (s *server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request and checks the status.
func (s *server) do(status int, method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = s.url + path
	}
	req, err := http.NewRequest(method, path, body)
	s.must(err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	s.must(err)
	if resp.StatusCode != status {
		s.t.Fatalf("%s %s: %s, want %d\n%s", method, path, resp.Status, status, got)
	}
	return answer{resp, got}
}

// refused sends a request and checks that the answer is an error with this status and code in the form of the
// specification.
func (s *server) refused(status int, code mirror.Code, method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	a := s.do(status, method, path, body, headers...)
	if method == http.MethodHead {
		return a
	}
	var doc struct {
		Errors []struct {
			Code    mirror.Code
			Message string
			Detail  any
		}
	}
	if err := json.Unmarshal(a.body, &doc); err != nil || len(doc.Errors) == 0 {
		s.t.Fatalf("%s %s: %q is no error document: %v", method, path, a.body, err)
	}
	if doc.Errors[0].Code != code || doc.Errors[0].Message == "" {
		s.t.Fatalf("%s %s: %s, want code %s", method, path, a.body, code)
	}
	if ct := a.Header.Get("Content-Type"); ct != "application/json" {
		s.t.Errorf("%s %s: error has Content-Type %q", method, path, ct)
	}
	return a
}

// header checks a response header.
func (s *server) header(a answer, key, want string) {
	s.t.Helper()
	if got := a.Header.Get(key); got != want {
		s.t.Errorf("%s %s: %s is %q, want %q", a.Request.Method, a.Request.URL, key, got, want)
	}
}

// pushBlob uploads content in several requests, as docker push does.
func (s *server) pushBlob(repo string, content []byte) v1.Descriptor {
	s.t.Helper()
	d := digest.FromBytes(content)
	a := s.do(202, "POST", "/v2/"+repo+"/blobs/uploads/", nil)
	a = s.do(202, "PATCH", s.at(a), bytes.NewReader(content))
	s.do(201, "PUT", s.with(a, "digest="+d.String()), nil)
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

// at returns the target of the Location header.
func (s *server) at(a answer) string {
	s.t.Helper()
	u, err := a.Location()
	s.must(err)
	return u.String()
}

// with returns the target of the Location header with a query.
func (s *server) with(a answer, query string) string {
	s.t.Helper()
	at := s.at(a)
	if strings.Contains(at, "?") {
		return at + "&" + query
	}
	return at + "?" + query
}

// image pushes a config and layers with these texts to repo. It returns an image manifest for them.
func (s *server) image(repo string, layers ...string) []byte {
	s.t.Helper()
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: s.pushBlob(repo, []byte("{}"))}
	m.SchemaVersion = 2
	m.Config.MediaType = v1.MediaTypeImageConfig
	m.Layers = []v1.Descriptor{}
	for _, text := range layers {
		m.Layers = append(m.Layers, s.pushBlob(repo, []byte(text)))
	}
	return s.marshal(m)
}

func (s *server) marshal(v any) []byte {
	s.t.Helper()
	b, err := json.MarshalIndent(v, "", "   ") // unusual formatting, to check that bytes are preserved
	s.must(err)
	return b
}

// put pushes a manifest.
func (s *server) put(repo, ref, mediaType string, manifest []byte) answer {
	s.t.Helper()
	return s.do(201, "PUT", fmt.Sprintf("/v2/%s/manifests/%s", repo, ref), bytes.NewReader(manifest), "Content-Type", mediaType)
}
