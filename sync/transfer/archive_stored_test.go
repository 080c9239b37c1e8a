package transfer_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// TestArchiveContentAlreadyStored imports archives of which content is already stored, for another repository or
// damaged, and compares the result with an import into an empty store.
func TestArchiveContentAlreadyStored(t *testing.T) {
	m := newMade()
	shared := m.blob(content("shared", 3000))
	one, two := m.image(t, m.blob(content("one", 500)), shared), m.image(t, shared)
	layer := strings.Repeat("layer", 1000)
	doc := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromString(layer).String() + `"]}}`
	parts := slices.Collect(maps.Values(m.data))
	slices.Sort(parts)
	rapid.Check(t, func(r *rapid.T) {
		s := newSite(t, transfer.Options{})
		saved := rapid.Bool().Draw(r, "docker save")
		files := map[string]string{"abc/layer.tar": layer, "config.json": doc,
			"manifest.json": `[{"Config":"config.json","RepoTags":["registry.example/org/app:v1"],"Layers":["abc/layer.tar"]}]`}
		want := []string{layer, doc}
		if !saved {
			files, want = layoutFiles(t, parts, annotated(one, containerdName, "registry.example/org/app:v1"), annotated(two, containerdName, "registry.example/org/app:v2")), parts
		}
		for n, part := range want {
			switch rapid.SampledFrom([]string{"absent", "stored", "damaged"}).Draw(r, "part "+string(rune('0'+n))) {
			case "stored":
				s.blob(base, part)
			case "damaged":
				s.blob(base, part)
				s.spoil(digest.FromString(part))
			}
		}
		a := newArchive(t)
		for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(files))).Draw(r, "order") {
			a.file(name, files[name])
		}
		summary, _ := s.take(a.bytes(), transfer.ImportRequest{})
		s.has(app, s.tag(app, "v1"))
		if !saved {
			s.has(app, s.tag(app, "v2"))
		}
		if images := map[bool]int{true: 1, false: 2}[saved]; summary.Images != images {
			r.Errorf("%+v", summary)
		}
		for defect, err := range s.store.Defects(t.Context(), mirror.CheckOptions{}) {
			r.Errorf("defect: %+v, %v", defect, err)
		}
		s.nothingIsLeft()
	})
}

// layoutFiles returns the files of an image layout by name.
func layoutFiles(t *testing.T, parts []string, entries ...v1.Descriptor) map[string]string {
	t.Helper()
	index, err := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: entries})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": string(index)}
	for _, part := range parts {
		files["blobs/sha256/"+digest.FromString(part).Encoded()] = part
	}
	return files
}

// spoil changes a byte of a stored file and restarts the mirror, so that it notices.
func (s *site) spoil(d digest.Digest) {
	s.t.Helper()
	s.stop()
	path := filepath.Join(s.folder, "blobs", "sha256", d.Encoded()[:2], d.Encoded())
	data, err := os.ReadFile(path)
	s.must(err)
	data[len(data)/2] ^= 1
	s.must(os.WriteFile(path, data, 0o600))
	s.start()
}
