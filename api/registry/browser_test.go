package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestManifestsAreNoPages: what a browser could run is refused, and where it is stored all the same, as when only the
// manifest itself says so, it comes back as bytes, by tag and by digest, to GET and HEAD.
func TestManifestsAreNoPages(t *testing.T) {
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
