package migrate_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/sync/progress"
)

// testStore is the store of a mirror.
type testStore struct {
	*cache.Store
	t *testing.T
}

func newTestStore(t *testing.T, dir string) testStore {
	t.Helper()
	store, err := cache.Open(cache.Config{Folder: dir})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return testStore{store, t}
}

func bare(name string) mirror.Repo { return mirror.Repo{Host: mirror.DockerHub, Path: name} }

// tag returns what a tag points at, "" for none.
func (h testStore) tag(name, tag string) digest.Digest {
	h.t.Helper()
	got, err := h.Tag(h.t.Context(), bare(name), tag)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return ""
	}
	must(h.t, err)
	return got.Digest
}

// wantComplete fails the test unless a repository has a manifest with all its blobs and children.
func (h testStore) wantComplete(name string, d digest.Digest) {
	h.t.Helper()
	man, err := h.Manifest(h.t.Context(), bare(name), d)
	must(h.t, err)
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	must(h.t, err)
	for _, desc := range refs.Blobs {
		blob, err := h.Blob(h.t.Context(), bare(name), desc.Digest)
		must(h.t, err)
		content, err := io.ReadAll(blob)
		must(h.t, err)
		blob.Close()
		if digest.FromBytes(content) != desc.Digest {
			h.t.Errorf("%s of %s is %q", desc.Digest, name, content)
		}
	}
	for _, desc := range refs.Manifests {
		h.wantComplete(name, desc.Digest)
	}
}

func (h testStore) isStored(d digest.Digest) bool {
	_, err := h.StatContent(h.t.Context(), d)
	return err == nil
}

// push pushes an image with one layer to the mirror.
func (h testStore) push(name, tag, layer string) digest.Digest {
	h.t.Helper()
	for _, content := range []string{"{}", layer} {
		upload, err := h.StartUpload(h.t.Context(), bare(name), digest.SHA256)
		must(h.t, err)
		_, err = upload.Append(strings.NewReader(content))
		must(h.t, err)
		must(h.t, upload.Commit(h.t.Context(), digest.FromString(content)))
	}
	body := marshal(h.t, imageOf(layer))
	d := digest.FromBytes(body)
	must(h.t, h.PutManifest(h.t.Context(), bare(name), mirror.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: d, Bytes: body, Origin: mirror.Pushed}, tag))
	return d
}

// eventList are the events of a run.
type eventList []migrate.Event

// skipped returns the reasons of skipped content, by name.
func (e eventList) skipped() map[string]string {
	left := make(map[string]string)
	for _, event := range e {
		if event.Kind == migrate.KindSkipped {
			left[event.Name] += event.Error
		}
	}
	return left
}

func (e eventList) of(kind string) (list []migrate.Event) {
	for _, event := range e {
		if event.Kind == kind {
			list = append(list, event)
		}
	}
	return list
}

// check checks the events and the progress of a completed run.
func (e eventList) check(t *testing.T, s migrate.Summary, p progress.Snapshot) {
	t.Helper()
	repositories := e.of(migrate.KindRepository)
	if p.Done != p.Total || p.Items != p.TotalItems || p.Items != len(repositories) {
		t.Errorf("the progress at the end is %+v; %d repositories are done", p, len(repositories))
	}
	var tags, manifests int
	for _, r := range repositories {
		tags, manifests = tags+r.Tags, manifests+r.Manifests
	}
	if tags != s.Tags || manifests != s.Manifests || len(e.of(migrate.KindSkipped)) != s.Skipped || len(e.of(migrate.KindKept)) != s.Kept {
		t.Errorf("the events have %d tags, %d manifests; the summary is %+v", tags, manifests, s)
	}
}

// imageOf describes an image with an empty config.
func imageOf(layers ...string) v1.Manifest {
	doc := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: descriptor("{}")}
	doc.Layers = []v1.Descriptor{}
	for _, layer := range layers {
		doc.Layers = append(doc.Layers, descriptor(layer))
	}
	return doc
}

func descriptor(content string) v1.Descriptor {
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString(content), Size: int64(len(content))}
}

// indexOf describes an index of manifests.
func indexOf(t *testing.T, children ...v1.Manifest) v1.Index {
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, child := range children {
		desc := descriptor(string(marshal(t, child)))
		desc.MediaType = v1.MediaTypeImageManifest
		doc.Manifests = append(doc.Manifests, desc)
	}
	return doc
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// registryFolder is the storage folder of a registry.
type registryFolder struct {
	t    *testing.T
	root string
}

func newRegistryFolder(t *testing.T) registryFolder {
	o := registryFolder{t, t.TempDir()}
	must(t, os.MkdirAll(o.path("repositories"), 0o755))
	return o
}

func (o registryFolder) path(parts ...string) string {
	return filepath.Join(o.root, "docker/registry/v2", filepath.Join(parts...))
}

func (o registryFolder) write(content string, parts ...string) {
	o.t.Helper()
	name := o.path(parts...)
	must(o.t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(o.t, os.WriteFile(name, []byte(content), 0o644))
}

func dataOf(d digest.Digest) string {
	return filepath.Join("blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}

func revision(d digest.Digest) string {
	return filepath.Join("_manifests/revisions", d.Algorithm().String(), d.Encoded(), "link")
}

func (o registryFolder) blob(content string) digest.Digest {
	d := digest.FromString(content)
	o.write(content, dataOf(d))
	return d
}

// put stores a manifest in a repository, under tags.
func (o registryFolder) put(name string, doc any, tags ...string) digest.Digest {
	d := o.blob(string(marshal(o.t, doc)))
	o.write(d.String(), "repositories", name, revision(d))
	for _, tag := range tags {
		o.write(d.String(), "repositories", name, "_manifests/tags", tag, "current/link")
	}
	return d
}

// image stores an image in a repository.
func (o registryFolder) image(name, tag string, layers ...string) digest.Digest {
	for _, content := range append(slices.Clone(layers), "{}") {
		d := o.blob(content)
		o.write(d.String(), "repositories", name, "_layers", d.Algorithm().String(), d.Encoded(), "link")
	}
	return o.put(name, imageOf(layers...), tag)
}

// move migrates everything.
func (o registryFolder) move(h testStore, req migrate.Request) (migrate.Summary, eventList) {
	o.t.Helper()
	req.Root = o.root
	var events eventList
	var p progress.Reporter
	s, err := migrate.Folder(context.Background(), h, mirror.Names{}, req, &p, func(e migrate.Event) { events = append(events, e) })
	must(o.t, err)
	events.check(o.t, s, p.Snapshot())
	return s, events
}
