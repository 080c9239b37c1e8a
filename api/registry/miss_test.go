package registry_test

import (
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestMissTellsWhy: a mirror in front of this one can tell what it may get another time from what does not exist.
func TestMissTellsWhy(t *testing.T) {
	s := start(t, registry.Options{})
	absent := "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, path := range []string{"/v2/library/app/manifests/1", "/v2/library/app/blobs/" + absent} {
		s.header(s.do(404, "GET", path, nil), mirror.MissHeader, mirror.MissUnavailable)
	}
	s.header(s.do(404, "HEAD", "/v2/library/app/manifests/1", nil), mirror.MissHeader, mirror.MissUnavailable)
	s.put("library/local", "1", v1.MediaTypeImageManifest, s.image("library/local", "layer")) // what was pushed here is nobody else's to have
	s.header(s.do(404, "GET", "/v2/library/local/manifests/2", nil), mirror.MissHeader, "")
	s.header(s.do(404, "GET", "/v2/library/local/blobs/"+absent, nil), mirror.MissHeader, "")
}
