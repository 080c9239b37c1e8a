package registry_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/registry"
)

// TestReferrersInPages: the cost of a page does not depend on the number of referrers.
func TestReferrersInPages(t *testing.T) {
	s := start(t, registry.Options{})
	config := s.pushBlob("app", []byte("{}"))
	subject := digest.FromString("subject")
	const count = 12
	for i := range count {
		m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: fmt.Sprintf("application/type%d", i%2), Config: config,
			Subject:     &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject, Size: 1},
			Annotations: map[string]string{"text": strings.Repeat(string(rune('a'+i)), 1<<20)}}
		m.SchemaVersion = 2
		s.put("app", digest.FromBytes(s.marshal(m)).String(), v1.MediaTypeImageManifest, s.marshal(m))
	}
	for _, tt := range []struct {
		query           string
		pages, matching int
	}{
		{"", 12, count},
		{"?n=1", 12, count},
		{"?n=5", 12, count},
		{"?artifactType=application/type1", 6, count / 2},
		{"?artifactType=application/none", 2, 0},
		{"?n=0", 1, 0},
	} {
		path, pages, seen := "/v2/app/referrers/"+subject.String()+tt.query, 0, map[digest.Digest]bool{}
		for path != "" {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a := s.do(200, "GET", path, nil)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 120<<20 {
				t.Errorf("%s: %d bytes allocated", path, n)
			}
			var index v1.Index
			s.must(json.Unmarshal(a.body, &index))
			if index.Manifests == nil || len(a.body) > 4<<20 {
				t.Errorf("%s: a page of %d bytes", path, len(a.body))
			}
			for _, desc := range index.Manifests {
				if seen[desc.Digest] {
					t.Errorf("%s: %s again", path, desc.Digest)
				}
				seen[desc.Digest] = true
			}
			path = strings.TrimPrefix(strings.TrimSuffix(a.Header.Get("Link"), `>; rel="next"`), "<")
			pages++
		}
		if len(seen) != tt.matching || pages > tt.pages {
			t.Errorf("%q: %d in %d pages, want %d in up to %d", tt.query, len(seen), pages, tt.matching, tt.pages)
		}
	}
}
