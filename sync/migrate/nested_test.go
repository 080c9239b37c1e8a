package migrate_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/migrate"
)

const oddType = "application/vnd.example.set.v1"

// setOf returns a document of an unknown type that names its members by their digests only.
func setOf(members ...digest.Digest) map[string]any {
	list := make([]map[string]string, len(members))
	for n, d := range members {
		list[n] = map[string]string{"digest": d.String()}
	}
	return map[string]any{"mediaType": oddType, "members": list}
}

// TestManifestsOfUnknownTypesAreMigrated has manifests that are named without a media type in a manifest of an unknown type,
// and with an unknown media type in an index.
func TestManifestsOfUnknownTypesAreMigrated(t *testing.T) {
	r, h := newRemote(t), newTestStore(t, t.TempDir())
	image := r.image("team/app", "", "layer")
	set := r.put("team/app", "", oddType, setOf(image, digest.FromString("{}")))
	nowhere := digest.FromString("nowhere")
	r.put("team/app", "set", oddType, setOf(image, nowhere))
	r.put("team/app", "index", v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{{MediaType: oddType, Digest: set, Size: 256}},
	})
	_, events, err := r.move(h, migrate.Request{})
	must(t, err)
	if left := events.skipped(); len(left) != 0 {
		t.Errorf("skipped: %v", left)
	}
	for _, tag := range []string{"set", "index"} {
		if h.tag("team/app", tag) == "" {
			t.Errorf("team/app:%s was skipped", tag)
		}
	}
	for _, d := range []digest.Digest{image, set} {
		if _, err := h.Manifest(t.Context(), bare("team/app"), d); err != nil {
			t.Errorf("%s was not migrated: %v", d, err)
		}
	}
	h.wantReadable("team/app", "layer", true)
	if n := r.requestCount("/manifests/" + nowhere.String()); n != 1 {
		t.Errorf("missing content was requested %d times as a manifest, want once", n)
	}
}

// TestDeeplyNestedIndexesAreMigrated has more indexes in one another than stay in memory.
func TestDeeplyNestedIndexesAreMigrated(t *testing.T) {
	const depth = 40
	indexOver := func(child any, mediaType string) v1.Index {
		desc := descriptor(string(marshal(t, child)))
		desc.MediaType = mediaType
		return v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{desc}}
	}
	indexes := []v1.Index{indexOver(imageOf("layer"), v1.MediaTypeImageManifest)}
	for len(indexes) < depth {
		indexes = append(indexes, indexOver(indexes[len(indexes)-1], v1.MediaTypeImageIndex))
	}
	check := func(t *testing.T, h testStore, s migrate.Summary, events eventList, top digest.Digest) {
		if s.Skipped != 0 || s.Manifests != depth+1 || h.tag("app", "deep") != top {
			t.Errorf("%+v, skipped %v", s, events.skipped())
		}
		h.wantComplete("app", top)
	}
	t.Run("folder", func(t *testing.T) {
		o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
		o.image("app", "v1", "layer")
		var top digest.Digest
		for n, index := range indexes {
			if n < depth-1 {
				o.put("app", index)
			} else {
				top = o.put("app", index, "deep")
			}
		}
		s, events := o.move(h, migrate.Request{})
		check(t, h, s, events, top)
	})
	t.Run("registry", func(t *testing.T) {
		r, h := newRemote(t), newTestStore(t, t.TempDir())
		r.image("app", "v1", "layer")
		var top digest.Digest
		for n, index := range indexes {
			tag := ""
			if n == depth-1 {
				tag = "deep"
			}
			top = r.put("app", tag, v1.MediaTypeImageIndex, index)
		}
		s, events, err := r.move(h, migrate.Request{})
		must(t, err)
		check(t, h, s, events, top)
	})
}
