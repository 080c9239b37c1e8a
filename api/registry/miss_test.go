package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestMissHeader: a mirror that uses this one as its upstream can tell content that may become available from content
// that does not exist.
func TestMissHeader(t *testing.T) {
	s := start(t, registry.Options{})
	absent := "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, path := range []string{"/v2/library/app/manifests/1", "/v2/library/app/blobs/" + absent} {
		s.header(s.do(404, "GET", path, nil), mirror.MissHeader, mirror.MissUnavailable)
	}
	s.header(s.do(404, "HEAD", "/v2/library/app/manifests/1", nil), mirror.MissHeader, mirror.MissUnavailable)
	s.put("library/local", "1", v1.MediaTypeImageManifest, s.image("library/local", "layer")) // a pushed repository is never requested upstream
	s.header(s.do(404, "GET", "/v2/library/local/manifests/2", nil), mirror.MissHeader, "")
	s.header(s.do(404, "GET", "/v2/library/local/blobs/"+absent, nil), mirror.MissHeader, "")
	lists := []string{"/tags/list", "/referrers/" + absent}
	s.header(s.do(404, "GET", "/v2/library/app"+lists[0], nil), mirror.MissHeader, mirror.MissUnavailable)
	for _, list := range lists {
		s.header(s.do(200, "GET", "/v2/library/local"+list, nil), mirror.MissHeader, "")
	}
}

// TestPartialListIsMarked: a list of stored content has a header if the upstream could not be queried.
func TestPartialListIsMarked(t *testing.T) {
	up := &oneList{}
	s := &server{t: t, dir: t.TempDir(), upstream: up}
	s.run(registry.Options{})
	for _, list := range []string{"/tags/list", "/referrers/sha256:" + strings.Repeat("a", 64)} {
		up.err = nil
		s.header(s.do(200, "GET", "/v2/library/app"+list, nil), mirror.MissHeader, "")
		up.err = mirror.Errorf(mirror.CodeUnavailable, "it lacks something")
		got := s.do(200, "GET", "/v2/library/other"+list, nil)
		s.header(got, mirror.MissHeader, mirror.MissUnavailable)
		s.header(got, "Warning", `299 - "stale: it lacks something"`)
		if list == "/tags/list" && !strings.Contains(string(got.body), `"tags":["theirs"]`) {
			t.Errorf("the list is %s", got.body)
		}
	}
}

// oneList is an upstream that lists one tag, optionally with an error.
type oneList struct {
	mirror.Upstream
	err error
}

func (u *oneList) Tags(context.Context, mirror.Repo) ([]string, error) {
	return []string{"theirs"}, u.err
}

func (u *oneList) Referrers(context.Context, mirror.Repo, digest.Digest) ([]v1.Descriptor, error) {
	return nil, u.err
}
