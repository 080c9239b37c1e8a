package transfer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
)

// TestFlatten checks that the image for the platform is exported under the name of the index, and other images
// unchanged.
func TestFlatten(t *testing.T) {
	s := newSite(t, transfer.Options{})
	amd := s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"})
	v6, v7 := s.image(base, mirror.Mirrored, "linux/arm", []string{"6"}), s.image(base, mirror.Mirrored, "linux/arm", []string{"7"})
	v6.Platform, v7.Platform = &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}, &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	index := s.index(base, mirror.Mirrored, []v1.Descriptor{amd, v6, v7}, "3")
	s.index(base, mirror.Mirrored, []v1.Descriptor{index}, "nested")
	s.image(base, mirror.Mirrored, "linux/amd64", []string{"one"}, "one")
	s.refer(base, index, "signature of the index")
	ofAmd := s.refer(base, amd, "signature of the image")

	for tag, want := range map[string]digest.Digest{"3": amd.Digest, "nested": amd.Digest, "one": s.tag(base, "one")} {
		data, doc := s.export(transfer.ExportRequest{Images: []string{"alpine:" + tag}, Platforms: []string{"linux/amd64"}, Flatten: true, Referrers: true})
		if doc.Images[len(doc.Images)-1].Digest != want || slices.ContainsFunc(doc.Manifests, isIndex) {
			t.Errorf("%s: %+v", tag, doc.Images)
		}
		for _, image := range doc.Images {
			if image.Sparse {
				t.Errorf("%s: is sparse: %+v", tag, image)
			}
		}
		inside := newSite(t, transfer.Options{})
		inside.take(data, transfer.ImportRequest{})
		if got := inside.tag(base, tag); got != want {
			t.Errorf("%s is %s, want %s", tag, got, want)
		}
		inside.has(base, want)
		if signed := slices.Contains(inside.digests(), ofAmd.Digest); signed != (tag != "one") {
			t.Errorf("%s: signature exported: %t", tag, signed)
		}
	}

	for name, tt := range map[string]struct {
		req  transfer.ExportRequest
		says string
	}{
		"no such platform": {transfer.ExportRequest{Images: []string{"alpine:3"}, Platforms: []string{"linux/s390x"}}, "linux/s390x"},
		"two of one":       {transfer.ExportRequest{Images: []string{"alpine:3"}, Platforms: []string{"linux/arm"}}, "name the variant"},
		"two platforms":    {transfer.ExportRequest{Images: []string{"alpine:3"}, Platforms: []string{"linux/arm/v6", "linux/amd64"}}, "exactly one platform"},
		"no platform":      {transfer.ExportRequest{Images: []string{"alpine:3"}}, "exactly one platform"},
		"by its digest":    {transfer.ExportRequest{Images: []string{"alpine@" + index.Digest.String()}, Platforms: []string{"linux/amd64"}}, "is the digest of an index"},
		"not stored":       {transfer.ExportRequest{Images: []string{"alpine:none"}, Platforms: []string{"linux/amd64"}}, "is not stored"},
	} {
		tt.req.Flatten = true
		if _, _, err := s.tryExport(tt.req); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFlattenNestedIndexes flattens 40 nested indexes, each of which names the next one twice.
func TestFlattenNestedIndexes(t *testing.T) {
	s := newSite(t, transfer.Options{})
	image := s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"})
	nested := image
	for level := range 40 {
		var tags []string
		if level == 39 {
			tags = []string{"deep"}
		}
		again := nested
		again.Platform = nil
		nested = s.index(base, mirror.Mirrored, []v1.Descriptor{nested, again}, tags...)
	}
	_, doc := s.export(transfer.ExportRequest{Images: []string{"alpine:deep"}, Platforms: []string{"linux/amd64"}, Flatten: true})
	if len(doc.Images) != 1 || doc.Images[0].Digest != image.Digest {
		t.Errorf("flattened to %+v, want %s", doc.Images, image.Digest)
	}
}

// TestSparse checks that an index with entries that are not exported is marked as sparse, also inside another index.
func TestSparse(t *testing.T) {
	s := newSite(t, transfer.Options{})
	amd, arm := s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"}), s.image(base, mirror.Mirrored, "linux/arm64", []string{"b"})
	index := s.index(base, mirror.Mirrored, []v1.Descriptor{amd, arm}, "3")
	s.index(base, mirror.Mirrored, []v1.Descriptor{index}, "nested")
	for _, tag := range []string{"3", "nested"} {
		for platform, want := range map[string]bool{"": false, "linux/arm64": true} {
			req := transfer.ExportRequest{Images: []string{"alpine:" + tag}}
			if platform != "" {
				req.Platforms = []string{platform}
			}
			if _, doc := s.export(req); doc.Images[0].Sparse != want {
				t.Errorf("%s for %q: sparse is %t", tag, platform, doc.Images[0].Sparse)
			}
		}
	}
}

// TestFailuresAreGrouped checks that images with the same reason are listed together.
func TestFailuresAreGrouped(t *testing.T) {
	s := newSite(t, transfer.Options{})
	s.image(base, mirror.Mirrored, "linux/amd64", []string{"a"}, "3")
	_, _, err := s.tryExport(transfer.ExportRequest{Images: []string{"alpine:1", "alpine:2", "alpine:3"}})
	want := "2 of the requested images cannot be exported, so fetch or omit them: docker.io/library/alpine:1, docker.io/library/alpine:2 are not stored"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func isIndex(m bundle.Manifest) bool { return mirror.IsIndex(m.MediaType) }
