package registry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestActiveContentIsNotServedAsSuch: a manifest with a media type that a browser could run is refused. If such content
// is stored anyway, because only the manifest itself has the type, it is served as octet-stream.
func TestActiveContentIsNotServedAsSuch(t *testing.T) {
	s := start(t, registry.Options{})
	for mediaType, runs := range map[string]bool{
		"text/html":                     true,
		"text/plain":                    true,
		"text/javascript":               true,
		"text/xml":                      true,
		"image/svg+xml":                 true,
		"IMAGE/SVG+XML":                 true,
		"multipart/related":             true,
		"application/xhtml+xml":         true,
		"application/xml":               true,
		"application/javascript":        true,
		"application/pdf":               true,
		"application/vnd.wap.xhtml+xml": true,
		"application/json":              false,
		"application/vnd.example+json":  false,
		"application/vnd.docker.distribution.manifest.v1+prettyjws": false,
	} {
		body, want := `{"mediaType":"`+mediaType+`"}`, mediaType
		if runs {
			want = "application/octet-stream"
			s.refused(http.StatusBadRequest, mirror.CodeManifestInvalid, http.MethodPut, "/v2/evil/page/manifests/1", strings.NewReader(body), "Content-Type", mediaType)
			s.refused(http.StatusBadRequest, mirror.CodeManifestInvalid, http.MethodPut, "/v2/evil/page/manifests/1", strings.NewReader(body), "Content-Type", mediaType+"; charset=utf-8")
		}
		s.do(http.StatusCreated, http.MethodPut, "/v2/evil/page/manifests/1", strings.NewReader(body))
		for _, ref := range []string{"1", digest.FromString(body).String()} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := s.do(http.StatusOK, method, "/v2/evil/page/manifests/"+ref, nil).Header.Get("Content-Type")
				if !strings.EqualFold(got, want) {
					t.Errorf("%s of %s by %s: %s, want %s", method, mediaType, ref, got, want)
				}
			}
		}
	}
}

// TestBodyOfRefusedManifestIsRead: unless the client waits for "100 Continue".
func TestBodyOfRefusedManifestIsRead(t *testing.T) {
	store, err := cache.Open(cache.Config{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m, err := proxy.New(store, nil, proxy.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	h := registry.New(m, registry.Options{Authorizer: &asked{}})
	for expect, want := range map[string]int{"": 0, "100-continue": 3 << 20} {
		body := strings.NewReader(strings.Repeat("x", 3<<20))
		r, w := httptest.NewRequest(http.MethodPut, "/v2/team/app/manifests/1", body), httptest.NewRecorder()
		r.Header.Set("Expect", expect)
		if h.ServeHTTP(w, r); w.Code != http.StatusUnauthorized || body.Len() != want {
			t.Errorf("Expect %q: %d, and %d bytes are not read, want %d", expect, w.Code, body.Len(), want)
		}
	}
}
