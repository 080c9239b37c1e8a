package bundle_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// entry is an entry of a tar. Without a type, it is a file.
type entry struct {
	name, data, link string
	kind             byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.data)), Mode: 0o644,
			ModTime: time.Unix(1700000000, 0), Uid: 1000, Uname: "someone"}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// layoutOf returns the entries of an image layout as skopeo and docker write them: sorted by name, with folders.
func (c content) layoutOf(t testing.TB, roots []v1.Descriptor, more ...entry) []byte {
	t.Helper()
	list := []entry{{name: "blobs/", kind: tar.TypeDir}, {name: "blobs/sha256/", kind: tar.TypeDir}}
	for _, d := range slices.Sorted(maps.Keys(c)) {
		list = append(list, entry{name: "blobs/sha256/" + d.Encoded(), data: string(c[d].data)})
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: roots}
	list = append(list, entry{name: "index.json", data: string(encode(t, index))},
		entry{name: "oci-layout", data: `{"imageLayoutVersion": "1.0.0"}`})
	list = append(list, more...)
	slices.SortStableFunc(list[2:], func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return tarOf(t, list...)
}

func named(desc v1.Descriptor, annotations ...string) v1.Descriptor {
	desc.Annotations = map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		desc.Annotations[annotations[i]] = annotations[i+1]
	}
	return desc
}

// dockerNew returns the entries that docker save writes since 25.0, with an unneeded config for each layer.
func (c content) dockerNew(t testing.TB, image v1.Descriptor, tags ...string) []byte {
	t.Helper()
	var manifest v1.Manifest
	if err := json.Unmarshal(c[image.Digest].data, &manifest); err != nil {
		t.Fatal(err)
	}
	it := item{Config: "blobs/sha256/" + manifest.Config.Digest.Encoded(), RepoTags: tags}
	for i, layer := range manifest.Layers {
		it.Layers = append(it.Layers, "blobs/sha256/"+layer.Digest.Encoded())
		c.blob(encode(t, map[string]any{"id": i, "container_config": map[string]any{"Hostname": ""}}))
	}
	var roots []v1.Descriptor
	for _, tag := range tags {
		_, last, _ := strings.Cut(tag, ":")
		roots = append(roots, named(image, "io.containerd.image.name", "docker.io/library/"+tag, v1.AnnotationRefName, last))
	}
	return c.layoutOf(t, roots, entry{name: "manifest.json", data: string(encode(t, []item{it}))}, entry{name: "repositories", data: "{}"})
}

// saved is an image in an archive of an old docker save.
type saved struct {
	config string
	layers []string // content
	tags   []string
}

// dockerOld returns the entries that docker save wrote before 25.0: a folder for each layer of an image, with a link if
// another image has the same layer.
func dockerOld(t testing.TB, images ...saved) []byte {
	t.Helper()
	var list []entry
	var items []item
	at := map[string]string{}
	for _, image := range images {
		it := item{Config: digest.FromString(image.config).Encoded() + ".json", RepoTags: image.tags}
		list = append(list, entry{name: it.Config, data: image.config})
		for i, layer := range image.layers {
			dir := digest.FromString(image.config + strings.Repeat("x", i)).Encoded() // any ID
			file := entry{name: dir + "/layer.tar", data: layer}
			if other, ok := at[layer]; ok {
				file = entry{name: dir + "/layer.tar", kind: tar.TypeSymlink, link: "../" + other + "/layer.tar"}
			} else {
				at[layer] = dir
			}
			list = append(list, entry{name: dir + "/", kind: tar.TypeDir}, entry{name: dir + "/VERSION", data: "1.0"},
				entry{name: dir + "/json", data: `{"id":"` + dir + `","os":"linux"}`}, file)
			it.Layers = append(it.Layers, file.name)
		}
		items = append(items, it)
	}
	slices.SortStableFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	list = append(list, entry{name: "manifest.json", data: string(encode(t, items))}, entry{name: "repositories", data: `{"a":{"1":"x"}}`})
	return tarOf(t, list...)
}

// config returns the config of an image for linux/amd64 with these layers.
func config(t testing.TB, layers ...string) string {
	t.Helper()
	c := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, RootFS: v1.RootFS{Type: "layers"}}
	for _, layer := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromString(layer))
	}
	return string(encode(t, c))
}
