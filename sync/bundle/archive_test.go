package bundle_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// readArchive reads an archive in every form of compression and returns its content.
func readArchive(t *testing.T, kind bundle.Kind, data []byte) (got content, roots []bundle.Root) {
	t.Helper()
	for _, in := range []io.Reader{reader(data, true), reader(data, false), bytes.NewReader(gzipped(t, data)), bytes.NewReader(zstded(t, data))} {
		r, err := bundle.Open(in, bundle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got = readAll(t, r)
		if roots, err = r.Roots(); err != nil {
			t.Fatal(err)
		}
		if r.Kind() != kind || r.Document() != nil {
			t.Errorf("kind %s with document %v, want %s", r.Kind(), r.Document(), kind)
		}
	}
	return got, roots
}

func TestReadLayout(t *testing.T) {
	c := content{}
	image := c.image(t, "amd64", "layer")
	index := c.index(t, image, c.image(t, "arm64", "layer", "arm"))
	signature := c.signature(t, index)
	const name, ref = "io.containerd.image.name", v1.AnnotationRefName
	data := c.layoutOf(t, []v1.Descriptor{
		named(index, name, "docker.io/library/a:1", ref, "1"), named(image, ref, "quay.io/a/b:2"), named(image, ref, "3"),
		named(image, ref, "a:4"), signature,
	})
	got, roots := readArchive(t, bundle.KindLayout, data)
	if len(got) != len(c) {
		t.Errorf("%d blobs and manifests, want %d", len(got), len(c))
	}
	want := []bundle.Root{{Names: []string{"docker.io/library/a:1"}}, {Names: []string{"quay.io/a/b:2"}}, {Tag: "3"}, {Names: []string{"a:4"}}, {}}
	for i, root := range roots {
		if d := []v1.Descriptor{index, image, image, image, signature}[i]; root.Descriptor.Digest != d.Digest || root.Data != nil {
			t.Errorf("root %d is %+v", i, root)
		}
		roots[i].Descriptor = v1.Descriptor{}
	}
	if !reflect.DeepEqual(roots, want) {
		t.Errorf("roots are %+v\nwant %+v", roots, want)
	}
}

func TestReadDockerSave(t *testing.T) {
	c := content{}
	image := c.image(t, "amd64", "one", "two")
	_, roots := readArchive(t, bundle.KindLayout, c.dockerNew(t, image, "a:1", "a:2"))
	if len(roots) != 2 || roots[0].Descriptor.Digest != image.Digest || roots[1].Descriptor.Digest != image.Digest ||
		!slices.Equal(roots[0].Names, []string{"docker.io/library/a:1"}) || roots[0].Data != nil {
		t.Errorf("roots are %+v", roots)
	}
}

// TestReadDockerSave25 reads archives whose index.json refers to a manifest without layers, or to none.
func TestReadDockerSave25(t *testing.T) {
	good := content{}
	whole := good.image(t, "amd64", "one", "two")
	manifest := func(data []byte) (m v1.Manifest) {
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, indexed := range []bool{true, false} {
		c := content{}
		m := manifest(good[whole.Digest].data)
		it := item{Config: "blobs/sha256/" + m.Config.Digest.Encoded(), RepoTags: []string{"a:1"}}
		for _, layer := range m.Layers {
			it.Layers = append(it.Layers, "blobs/sha256/"+layer.Digest.Encoded())
			c.blob(good[layer.Digest].data)
		}
		c.blob(good[m.Config.Digest].data)
		m.Layers = []v1.Descriptor{}
		empty := c.put(v1.MediaTypeImageManifest, encode(t, m))
		roots := []v1.Descriptor{named(empty, "io.containerd.image.name", "docker.io/library/a:1")}
		want := "docker.io/library/a:1"
		if !indexed {
			roots, want = nil, "a:1"
		}
		_, got := readArchive(t, bundle.KindLayout, c.layoutOf(t, roots, entry{name: "manifest.json", data: string(encode(t, []item{it}))}))
		if len(got) != 1 || !slices.Equal(got[0].Names, []string{want}) {
			t.Fatalf("roots are %+v", got)
		}
		if m := manifest(got[0].Data); len(m.Layers) != 2 || digest.FromBytes(got[0].Data) != got[0].Descriptor.Digest {
			t.Errorf("its manifest is %s", got[0].Data)
		}
	}
}

func TestReadOldDockerSave(t *testing.T) {
	packed := string(gzipped(t, []byte("three")))
	archive := dockerOld(t, saved{config(t, "one", "two"), []string{"one", "two"}, []string{"a:1", "localhost:5000/a:2"}},
		saved{config(t, "one", "three"), []string{"one", packed}, nil})
	got, roots := readArchive(t, bundle.KindDocker, archive)
	if len(got) != 5 {
		t.Errorf("%d blobs, want 3 layers and 2 configs", len(got))
	}
	if len(roots) != 2 || !slices.Equal(roots[0].Names, []string{"a:1", "localhost:5000/a:2"}) || roots[1].Names != nil {
		t.Fatalf("roots are %+v", roots)
	}
	want := [][]v1.Descriptor{
		{{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("one"), Size: 3}, {MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("two"), Size: 3}},
		{{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("one"), Size: 3}, {MediaType: v1.MediaTypeImageLayerGzip, Digest: digest.FromString(packed), Size: int64(len(packed))}},
	}
	for i, root := range roots {
		mediaType, refs, err := mirror.ParseManifest(root.Descriptor.MediaType, root.Data)
		if err != nil || digest.FromBytes(root.Data) != root.Descriptor.Digest || int64(len(root.Data)) != root.Descriptor.Size {
			t.Fatalf("%s %s: %v", mediaType, root.Data, err)
		}
		for _, d := range refs.Blobs {
			if _, ok := got[d.Digest]; !ok {
				t.Errorf("%s did not come", d.Digest)
			}
		}
		if !reflect.DeepEqual(refs.Blobs[1:], want[i]) {
			t.Errorf("layers are %+v\nwant %+v", refs.Blobs[1:], want[i])
		}
		if root.Descriptor.Platform == nil || root.Descriptor.Platform.Architecture != "amd64" {
			t.Errorf("platform is %+v", root.Descriptor.Platform)
		}
	}
}

// TestReadSkopeoDockerArchive reads an archive with layers at the top, and links to them.
func TestReadSkopeoDockerArchive(t *testing.T) {
	cfg := config(t, "one")
	layer, id := digest.FromString("one").Encoded(), digest.FromString("id").Encoded()
	_, roots := readArchive(t, bundle.KindDocker, tarOf(t,
		entry{name: layer + ".tar", data: "one"}, entry{name: id + "/VERSION", data: "1.0"}, entry{name: id + "/json", data: "{}"},
		entry{name: id + "/layer.tar", kind: tar.TypeSymlink, link: "../" + layer + ".tar"},
		entry{name: digest.FromString(cfg).Encoded() + ".json", data: cfg},
		entry{name: "manifest.json", data: string(encode(t, []item{{digest.FromString(cfg).Encoded() + ".json", []string{"a:1"}, []string{layer + ".tar"}}}))},
		entry{name: "repositories", data: "{}"}))
	if len(roots) != 1 || len(roots[0].Data) == 0 {
		t.Errorf("roots are %+v", roots)
	}
}

func TestDamagedDockerLayers(t *testing.T) {
	for name, image := range map[string]saved{
		"other content": {config(t, "one", "two"), []string{"one", "too"}, nil},
		"one too few":   {config(t, "one", "two"), []string{"one"}, nil},
		"no config":     {"hello", []string{"one"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := bundle.Open(bytes.NewReader(dockerOld(t, image)), bundle.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			readAll(t, r)
			_, err = r.Roots()
			isInvalid(t, err)
		})
	}
}
