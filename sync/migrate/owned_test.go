package migrate_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/migrate"
)

// cacheOf is an index of blobs, as a BuildKit cache is.
func cacheOf(contents ...string) v1.Index {
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, content := range contents {
		doc.Manifests = append(doc.Manifests, descriptor(content))
	}
	return doc
}

// wantReadable checks whether a repository can read a blob.
func (h testStore) wantReadable(name, content string, want bool) {
	h.t.Helper()
	stat, err := h.StatBlob(h.t.Context(), bare(name), digest.FromString(content))
	if err != nil || (stat.Stored && stat.Linked) != want {
		h.t.Errorf("%q in %s is %+v, %v; want it read: %t", content, name, stat, err, want)
	}
}

// TestBlobsOfAnIndexAreMigrated has an index that names blobs. Those that its repository does not have are not migrated,
// though another repository has them.
func TestBlobsOfAnIndexAreMigrated(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		o, h := newRegistryFolder(t), newTestStore(t, t.TempDir())
		o.image("team/app", "1", "layer", "theirs")
		o.put("team/app", cacheOf("layer"), "cache")
		o.image("evil/app", "1", "own")
		o.put("evil/app", cacheOf("own", "theirs", "secret"), "cache")
		h.push("private/app", "1", "secret")
		_, events := o.move(h, migrate.Request{})
		if left := events.skipped(); len(left) != 2 {
			t.Errorf("skipped: %v", left)
		}
		h.wantMigrated()
	})
	t.Run("registry", func(t *testing.T) {
		r, h := newRemote(t), newTestStore(t, t.TempDir())
		r.image("team/app", "1", "layer")
		r.put("team/app", "cache", v1.MediaTypeImageIndex, cacheOf("layer"))
		r.image("evil/app", "1", "own")
		r.put("evil/app", "cache", v1.MediaTypeImageIndex, cacheOf("own", "theirs", "secret"))
		r.answer("/v2/evil/app/blobs/"+digest.FromString("theirs").String(), status(404))
		r.answer("/v2/evil/app/blobs/"+digest.FromString("secret").String(), status(404))
		h.push("private/app", "1", "secret")
		_, events, err := r.move(h, migrate.Request{})
		must(t, err)
		if left := events.skipped(); len(left) != 2 {
			t.Errorf("skipped: %v", left)
		}
		h.wantMigrated()
	})
}

// schema1 is an image in the format that Docker used before 2016. The document contains no media type.
func schema1(layers ...string) map[string]any {
	list := make([]map[string]string, len(layers))
	for n, layer := range layers {
		list[n] = map[string]string{"blobSum": digest.FromString(layer).String()}
	}
	return map[string]any{"schemaVersion": 1, "name": "old", "tag": "v1", "fsLayers": list}
}

// TestSchema1IsMigrated checks that an image of schema 1 is migrated with its layers.
func TestSchema1IsMigrated(t *testing.T) {
	for name, move := range map[string]func(h testStore) (digest.Digest, eventList){
		"folder": func(h testStore) (digest.Digest, eventList) {
			o := newRegistryFolder(t)
			o.image("old", "other", "layer")
			d := o.put("old", schema1("layer"), "v1")
			_, events := o.move(h, migrate.Request{})
			return d, events
		},
		"registry": func(h testStore) (digest.Digest, eventList) {
			r := newRemote(t)
			r.image("old", "other", "layer")
			d := r.put("old", "v1", "application/vnd.docker.distribution.manifest.v1+json", schema1("layer"))
			_, events, err := r.move(h, migrate.Request{})
			must(t, err)
			return d, events
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestStore(t, t.TempDir())
			d, events := move(h)
			if got := h.tag("old", "v1"); got != d || len(events.skipped()) != 0 {
				t.Fatalf("old:v1 is %q, want %s; skipped: %v", got, d, events.skipped())
			}
			man, err := h.Manifest(t.Context(), bare("old"), d)
			must(t, err)
			if man.MediaType != "application/vnd.docker.distribution.manifest.v1+json" {
				t.Errorf("the media type is %s", man.MediaType)
			}
			h.wantReadable("old", "layer", true)
		})
	}
}

// wantMigrated checks the repositories of TestBlobsOfAnIndexAreMigrated after a migration.
func (h testStore) wantMigrated() {
	h.t.Helper()
	for _, name := range []string{"team/app", "evil/app"} {
		if h.tag(name, "cache") == "" {
			h.t.Errorf("%s:cache was skipped", name)
		}
	}
	h.wantReadable("team/app", "layer", true)
	h.wantReadable("evil/app", "own", true)
	h.wantReadable("evil/app", "theirs", false)
	h.wantReadable("evil/app", "secret", false)
	h.wantReadable("private/app", "secret", true)
	for defect, err := range h.Defects(h.t.Context(), mirror.CheckOptions{}) {
		h.t.Errorf("defect: %+v, %v", defect, err)
	}
}
