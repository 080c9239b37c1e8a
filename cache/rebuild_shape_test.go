package cache_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestRebuildRecognizesManifestsByShape checks manifests that do not state their media type, without any index.
func TestRebuildRecognizesManifestsByShape(t *testing.T) {
	s := stock(t)
	s.must(receive(t.Context(), s.Store, "layer"))
	layer := digest.FromString("layer")
	image := `{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"` + layer.String() + `","size":5},"layers":[]}`
	for doc, mediaType := range map[string]string{
		image: v1.MediaTypeImageManifest,
		`{"schemaVersion":2,"manifests":[{"digest":"` + digest.FromString(image).String() + `","size":` + "170" + `}]}`: v1.MediaTypeImageIndex,
		`{"schemaVersion":1,"fsLayers":[{"blobSum":"` + layer.String() + `"}]}`:                                         "application/vnd.docker.distribution.manifest.v1+json",
	} {
		m := mirror.Manifest{MediaType: mediaType, Digest: digest.FromString(doc), Bytes: []byte(doc), Origin: mirror.Pushed}
		putManifest(t, s.Store, m, "tag")
		defer func() {
			if got, err := s.Manifest(t.Context(), cache.RecoveredRepo, m.Digest); err != nil || got.MediaType != mediaType {
				t.Errorf("%s was recovered as %q, %v", doc, got.MediaType, err)
			}
		}()
	}
	s.rebuild(cache.RebuildSources{})
	if stat, err := s.StatBlob(t.Context(), cache.RecoveredRepo, layer); err != nil || !stat.Linked {
		t.Errorf("the layer: %+v, %v", stat, err)
	}
}
