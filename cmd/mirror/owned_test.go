package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"airmirror/cache"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/migrate"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

const (
	typeForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	typeORAS    = "application/vnd.cncf.oras.artifact.manifest.v1+json"
	typeDraft   = "application/vnd.oci.artifact.manifest.v1+json"
	typeSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	typeFuture  = "application/vnd.tomorrow.v9+json"
)

// TestContentOfStoredManifestsIsKept pushes manifests of known and unknown types. All content that they name and that was
// pushed is served unchanged after a collection, after an import, and after a migration.
func TestContentOfStoredManifestsIsKept(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "20", "rapid.shrinktime": "10s", "rapid.nofailfile": "true"} {
		asked := false
		flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == name })
		if err := flag.Set(name, value); !asked && err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		old := newDepot(r)
		defer old.close()
		schema1 := rapid.Bool().Draw(r, "with schema 1")
		for range rapid.IntRange(1, 6).Draw(r, "manifests") {
			old.pushSome(schema1)
		}
		nobodys := old.push("nobody's")
		old.collect()
		old.serves(old)
		if _, err := old.store.StatContent(context.Background(), nobodys.Digest); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			r.Errorf("what nobody names stays: %v", err)
		}

		inside := newDepot(r)
		defer inside.close()
		var bundle bytes.Buffer
		_, err := old.carrier.Export(context.Background(), transfer.ExportRequest{All: true}, nil, &bundle)
		old.must(err)
		_, err = inside.carrier.Import(context.Background(), transfer.ImportRequest{}, &bundle, new(progress.Reporter), func(transfer.Event) {})
		old.must(err)
		inside.collect()
		inside.serves(old)

		if schema1 { // which is skipped
			return
		}
		next := newDepot(r)
		defer next.close()
		var left []string
		_, err = migrate.Registry(context.Background(), next.store, mirror.Names{}, old, migrate.Request{From: "old.example"}, new(progress.Reporter), func(e migrate.Event) {
			_, dg, _ := strings.Cut(e.Name, "@")
			if e.Kind == migrate.KindSkipped && old.blobs[digest.Digest(dg)] != nil { // a foreign layer need not have been pushed
				left = append(left, e.Name+": "+e.Error)
			}
		})
		old.must(err)
		if len(left) > 0 {
			r.Errorf("skipped: %q", left)
		}
		next.collect()
		next.serves(old)
	})
}

// depot is a mirror with one repository.
type depot struct {
	t       *rapid.T
	folder  string
	store   *cache.Store
	mirror  *proxy.Proxy
	carrier *transfer.Service

	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]mirror.Manifest
	order     []v1.Descriptor // of manifests
	sparse    bool            // an index names what nobody has
}

var depotRepo = mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}

func newDepot(t *rapid.T) *depot {
	d := &depot{t: t, blobs: make(map[digest.Digest][]byte), manifests: make(map[digest.Digest]mirror.Manifest)}
	var err error
	if d.folder, err = os.MkdirTemp("/dev/shm", "owned-test-"); err != nil {
		d.folder, err = os.MkdirTemp("", "owned-test-")
	}
	d.must(err)
	d.store, err = cache.Open(cache.Config{Folder: d.folder})
	d.must(err)
	d.mirror, err = proxy.New(d.store, nil, proxy.Options{Offline: true, IgnoreNondistributable: true})
	d.must(err)
	d.carrier = transfer.New(d.mirror, d.store, transfer.Options{IgnoreNondistributable: true})
	return d
}

func (d *depot) close() {
	d.must(d.mirror.Close(context.Background()))
	d.must(d.store.Close())
	d.must(os.RemoveAll(d.folder))
}

func (d *depot) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// push pushes a blob.
func (d *depot) push(content string) v1.Descriptor {
	d.t.Helper()
	desc := absent(content)
	up, err := d.store.StartUpload(context.Background(), depotRepo, digest.SHA256)
	d.must(err)
	_, err = up.Append(bytes.NewReader([]byte(content)))
	d.must(err)
	d.must(up.Commit(context.Background(), desc.Digest))
	d.blobs[desc.Digest] = []byte(content)
	return desc
}

// absent returns the descriptor of a blob that is not pushed.
func absent(content string) v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: digest.FromString(content), Size: int64(len(content))}
}

// part pushes a random blob, or picks a pushed manifest.
func (d *depot) part() v1.Descriptor {
	if len(d.order) > 0 && rapid.IntRange(0, 2).Draw(d.t, "what") == 0 {
		return rapid.SampledFrom(d.order).Draw(d.t, "manifest")
	}
	return d.push(fmt.Sprint("blob ", rapid.IntRange(0, 9).Draw(d.t, "blob")))
}

func (d *depot) parts() (list []v1.Descriptor) {
	for range rapid.IntRange(1, 3).Draw(d.t, "parts") {
		list = append(list, d.part())
	}
	return list
}

// layers pushes random layers. Foreign layers may not be pushed.
func (d *depot) layers() (list []v1.Descriptor) {
	for range rapid.IntRange(0, 3).Draw(d.t, "layers") {
		content := fmt.Sprint("layer ", rapid.IntRange(0, 9).Draw(d.t, "layer"))
		layer := absent(content)
		foreign := rapid.Bool().Draw(d.t, "foreign")
		if foreign {
			layer.MediaType = typeForeign
		}
		if !foreign || rapid.Bool().Draw(d.t, "pushed") {
			d.push(content)
		}
		list = append(list, layer)
	}
	return list
}

// pushSome pushes a manifest of a random type under a tag.
func (d *depot) pushSome(schema1 bool) {
	kinds := []string{"image", "index", "cache", "oras", "draft", "future"}
	if schema1 {
		kinds = append(kinds, "schema1")
	}
	doc, mediaType := map[string]any{"schemaVersion": 2, "n": len(d.order)}, ""
	switch rapid.SampledFrom(kinds).Draw(d.t, "kind") {
	case "image":
		config := d.push(fmt.Sprintf(`{"os":"linux","architecture":"amd64","n":%d}`, len(d.order)))
		config.MediaType = v1.MediaTypeImageConfig
		mediaType, doc["config"], doc["layers"] = v1.MediaTypeImageManifest, config, d.layers()
	case "index":
		children := slices.DeleteFunc(d.parts(), func(desc v1.Descriptor) bool { return desc.MediaType == v1.MediaTypeImageLayerGzip })
		if len(children) > 0 && rapid.Bool().Draw(d.t, "sparse") {
			missing := absent("a platform that nobody has")
			missing.MediaType = v1.MediaTypeImageManifest
			children = append(children, missing)
			d.sparse = true
		}
		mediaType, doc["manifests"] = v1.MediaTypeImageIndex, children
	case "cache":
		mediaType, doc["manifests"] = v1.MediaTypeImageIndex, d.parts()
	case "oras":
		mediaType, doc = typeORAS, map[string]any{"n": len(d.order), "blobs": append(d.parts(), absent("of another registry"))}
	case "draft":
		mediaType, doc = typeDraft, map[string]any{"n": len(d.order), "blobs": []v1.Descriptor{d.push("drafted")}}
	case "future":
		mediaType, doc["deep"] = typeFuture, map[string]any{"er": []any{[]any{d.parts()}}, "digest": absent("nowhere").Digest}
	case "schema1":
		var layers []map[string]string
		for _, desc := range d.parts() {
			layers = append(layers, map[string]string{"blobSum": desc.Digest.String()})
		}
		mediaType, doc["schemaVersion"], doc["fsLayers"] = typeSchema1, 1, layers
	}
	data, err := json.Marshal(doc)
	d.must(err)
	m := mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: mirror.Pushed}
	d.must(d.store.PutManifest(context.Background(), depotRepo, m, fmt.Sprint("v", len(d.order))))
	d.manifests[m.Digest] = m
	d.order = append(d.order, v1.Descriptor{MediaType: mediaType, Digest: m.Digest, Size: int64(len(data))})
}

// collect deletes all unused content.
func (d *depot) collect() {
	d.t.Helper()
	plan, err := gc.MakePlan(context.Background(), d.store, nil, gc.Options{Policy: gc.Policy{Grace: -1, DeleteUntagged: true}}, time.Now().Add(time.Second))
	d.must(err)
	result, err := plan.Execute(context.Background(), d.store, nil)
	d.must(err)
	if result.Totals != plan.Totals {
		d.t.Errorf("%+v, planned were %+v", result, plan.Totals)
	}
}

// serves checks that all content that was pushed to another depot and is named there is served unchanged.
func (d *depot) serves(pushed *depot) {
	d.t.Helper()
	named := make(map[digest.Digest]bool)
	for dg, m := range pushed.manifests {
		got, err := d.store.Manifest(context.Background(), depotRepo, dg)
		if err != nil || !bytes.Equal(got.Bytes, m.Bytes) || got.MediaType != m.MediaType {
			d.t.Errorf("manifest %s is %q, %v; want %s", dg, got.Bytes, err, m.Bytes)
		}
		_, refs, err := mirror.ParseManifest(m.MediaType, m.Bytes)
		d.must(err)
		for _, desc := range refs.Owned() {
			named[desc.Digest] = true
		}
	}
	for dg, content := range pushed.blobs {
		if !named[dg] {
			continue
		}
		blob, err := d.store.Blob(context.Background(), depotRepo, dg)
		if err != nil {
			d.t.Errorf("blob %q: %v", content, err)
			continue
		}
		got, err := io.ReadAll(blob)
		blob.Close()
		if err != nil || !bytes.Equal(got, content) {
			d.t.Errorf("blob %q is %q, %v", content, got, err)
		}
	}
	for defect, err := range d.store.Defects(context.Background(), mirror.CheckOptions{}) {
		d.t.Errorf("defect: %+v, %v", defect, err)
	}
	for image, err := range d.mirror.Images(context.Background(), mirror.ImageMatch{}) {
		if err != nil || !image.Complete && !pushed.sparse {
			d.t.Errorf("image %+v, %v", image, err)
		}
	}
}

// The methods of a registry, for [migrate.RegistryClient].

// Catalog implements [migrate.RegistryClient].
func (d *depot) Catalog(context.Context, string) ([]string, error) {
	return []string{depotRepo.Path}, nil
}

// Tags implements [migrate.RegistryClient].
func (d *depot) Tags(ctx context.Context, _ mirror.Repo) ([]string, error) {
	return d.store.Tags(ctx, depotRepo, "", 1000)
}

// Manifest implements [migrate.RegistryClient].
func (d *depot) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	if ref.Digest == "" {
		tag, err := d.store.Tag(ctx, depotRepo, ref.Tag)
		if err != nil {
			return mirror.Manifest{}, err
		}
		ref.Digest = tag.Digest
	}
	return d.store.Manifest(ctx, depotRepo, ref.Digest)
}

// Blob implements [migrate.RegistryClient].
func (d *depot) Blob(ctx context.Context, _ mirror.Repo, dg digest.Digest) (io.ReadCloser, int64, error) {
	blob, err := d.store.Blob(ctx, depotRepo, dg)
	return blob, blob.Size, err
}

// Referrers implements [migrate.RegistryClient].
func (d *depot) Referrers(context.Context, mirror.Repo, digest.Digest) ([]v1.Descriptor, error) {
	return nil, nil
}
