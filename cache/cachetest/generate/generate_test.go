package generate_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/cachetest/generate"
	"airmirror/mirror"
)

// TestStore checks that every image of a folder can be read, that pulled ones have been used and pushed ones have not,
// and that a check finds nothing.
func TestStore(t *testing.T) {
	folder, o := t.TempDir(), generate.Options{Images: 300}
	must(t, generate.Store(t.Context(), folder, o))
	s, err := cache.Open(cache.Config{Folder: folder})
	must(t, err)
	defer s.Close()
	for i := range o.Images {
		checkImage(t, s, o.Image(i))
	}
	for defect, err := range s.Defects(t.Context(), mirror.CheckOptions{}) {
		t.Errorf("defect %+v, error %v", defect, err)
	}
}

func checkImage(t *testing.T, s *cache.Store, image generate.Image) {
	t.Helper()
	used, err := s.LastUsed(t.Context(), image.Repo, image.Digest)
	must(t, err)
	if used.IsZero() == (image.Origin == mirror.Mirrored) {
		t.Errorf("%s image %s:%s was last used at %s", image.Origin, image.Repo, image.Tag, used)
	}
	tag, err := s.Tag(t.Context(), image.Repo, image.Tag)
	must(t, err)
	m, err := s.Manifest(t.Context(), image.Repo, tag.Digest)
	must(t, err)
	if tag.Digest != image.Digest || !bytes.Equal(m.Bytes, image.Manifest) || m.Origin != image.Origin {
		t.Errorf("%s:%s is %s of origin %s", image.Repo, image.Tag, tag.Digest, m.Origin)
	}
	for _, data := range image.Blobs {
		blob, err := s.Blob(t.Context(), image.Repo, digest.FromBytes(data))
		must(t, err)
		stored, err := io.ReadAll(blob)
		must(t, err)
		must(t, blob.Close())
		if !bytes.Equal(stored, data) {
			t.Errorf("%s:%s has a blob of %q", image.Repo, image.Tag, stored)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
