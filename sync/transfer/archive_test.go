package transfer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// archive is a tar that is being written.
type archive struct {
	t   *testing.T
	out bytes.Buffer
	tar *tar.Writer
}

func newArchive(t *testing.T) *archive {
	a := &archive{t: t}
	a.tar = tar.NewWriter(&a.out)
	return a
}

func (a *archive) file(name, data string) {
	a.t.Helper()
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644}); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.tar.Write([]byte(data)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) json(name string, v any) {
	a.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	a.file(name, string(data))
}

func (a *archive) bytes() []byte {
	a.t.Helper()
	if err := a.tar.Close(); err != nil {
		a.t.Fatal(err)
	}
	return a.out.Bytes()
}

// layoutOf returns an image layout with the content of m and these entries in its index.
func layoutOf(t *testing.T, m *made, entries ...v1.Descriptor) []byte {
	t.Helper()
	a := newArchive(t)
	for _, b := range m.doc.Blobs {
		a.file("blobs/sha256/"+b.Digest.Encoded(), m.data[b.Digest])
	}
	for _, b := range m.doc.Manifests {
		a.file("blobs/sha256/"+b.Digest.Encoded(), m.data[b.Digest])
	}
	a.file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	a.json("index.json", v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: entries})
	return a.bytes()
}

// layout returns an image layout of one image with the name 1.0.
func layout(t *testing.T) []byte {
	m := newMade()
	return layoutOf(t, m, annotated(m.image(t, m.blob("layer")), v1.AnnotationRefName, "1.0"))
}

func annotated(desc v1.Descriptor, annotation, name string) v1.Descriptor {
	desc.Annotations = map[string]string{annotation: name}
	return desc
}

const containerdName = "io.containerd.image.name"

func TestImportLayout(t *testing.T) {
	m := newMade()
	shared := m.blob(content("shared", 3000))
	one, two := m.image(t, m.blob("one"), shared), m.image(t, m.blob("two"), shared)
	index := m.manifest(t, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{one, {MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("not here"), Size: 9}}})
	subject := one
	signature := m.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		ArtifactType: "application/example", Config: m.blob("{}"), Layers: []v1.Descriptor{}, Subject: &subject})
	loose := m.blob("nobody needs it").Digest
	lacking := m.image(t, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("not here either"), Size: 9})

	for name, tt := range map[string]struct {
		entries []v1.Descriptor
		tag     string
		want    map[string]digest.Digest // by tags of app
		untag   []digest.Digest
		code    mirror.Code
		says    string
	}{
		"full names": {[]v1.Descriptor{annotated(one, containerdName, "registry.example/org/app:v1"), annotated(two, v1.AnnotationRefName, "registry.example/org/app:v2")},
			"", map[string]digest.Digest{"v1": one.Digest, "v2": two.Digest}, nil, "", ""},
		"a tag, and its name": {[]v1.Descriptor{annotated(one, v1.AnnotationRefName, "1.0")}, "registry.example/org/app", map[string]digest.Digest{"1.0": one.Digest}, nil, "", ""},
		"no name":             {[]v1.Descriptor{one}, "registry.example/org/app:v1", map[string]digest.Digest{"v1": one.Digest}, nil, "", ""},
		"another name":        {[]v1.Descriptor{annotated(one, containerdName, "docker.io/library/x:1")}, "registry.example/org/app:v1", map[string]digest.Digest{"v1": one.Digest}, nil, "", ""},
		"tags of a repository": {[]v1.Descriptor{annotated(one, v1.AnnotationRefName, "1.0"), annotated(two, v1.AnnotationRefName, "2.0")}, "registry.example/org/app",
			map[string]digest.Digest{"1.0": one.Digest, "2.0": two.Digest}, nil, "", ""},
		"a sparse index, and parts": {[]v1.Descriptor{annotated(index, containerdName, "registry.example/org/app:v1"), one, signature}, "",
			map[string]digest.Digest{"v1": index.Digest}, []digest.Digest{one.Digest, signature.Digest}, "", ""},
		"an image and what refers to it": {[]v1.Descriptor{one, signature}, "registry.example/org/app:v1", map[string]digest.Digest{"v1": one.Digest}, []digest.Digest{signature.Digest}, "", ""},
		"by its digest":                  {[]v1.Descriptor{annotated(one, containerdName, "registry.example/org/app@"+one.Digest.String())}, "", nil, []digest.Digest{one.Digest}, "", ""},

		"nobody says its name":  {[]v1.Descriptor{one}, "", nil, nil, mirror.CodeNameInvalid, "--tag"},
		"a tag alone":           {[]v1.Descriptor{annotated(one, v1.AnnotationRefName, "1.0")}, "", nil, nil, mirror.CodeNameInvalid, "--tag"},
		"one name for two":      {[]v1.Descriptor{one, two}, "registry.example/org/app:v1", nil, nil, mirror.CodeNameInvalid, "several images"},
		"twice the same name":   {[]v1.Descriptor{annotated(one, containerdName, "x.example/a:1"), annotated(two, containerdName, "x.example/a:1")}, "", nil, nil, mirror.CodeBundleInvalid, "two images"},
		"it is incomplete":      {[]v1.Descriptor{annotated(lacking, containerdName, "x.example/a:1")}, "", nil, nil, mirror.CodeBundleInvalid, digest.FromString("not here either").String()},
		"a name that is none":   {[]v1.Descriptor{annotated(one, containerdName, "X Y")}, "", nil, nil, mirror.CodeNameInvalid, "X Y"},
		"a manifest is missing": {[]v1.Descriptor{annotated(v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4}, containerdName, "x.example/a:1")}, "", nil, nil, mirror.CodeBundleInvalid, "the archive lacks a part"},
	} {
		t.Run(name, func(t *testing.T) {
			data := layoutOf(t, m, tt.entries...)
			s := newSite(t, transfer.Options{})
			for _, dry := range []bool{true, false} {
				summary, events, err := s.tryTake(bytes.NewReader(data), transfer.ImportRequest{Tag: tt.tag, DryRun: dry})
				if tt.code != "" {
					wantCode(t, err, tt.code, tt.says)
				} else if s.must(err); len(of(events, transfer.KindImage)) != summary.Images || summary.New == 0 || summary.Blobs == 0 {
					t.Errorf("dry run %t: %+v", dry, summary)
				}
				if (dry || tt.code == mirror.CodeBundleInvalid) && len(s.digests()) > 0 || len(s.tags()) > 0 && (dry || tt.code != "") {
					t.Errorf("dry run %t: blobs %v or tags %q remain", dry, s.digests(), s.tags())
				}
			}
			if tt.code != "" {
				return
			}
			if len(s.tags()) != len(tt.want) {
				t.Errorf("tags %q", s.tags())
			}
			for tag, d := range tt.want {
				if s.tag(app, tag) != d {
					t.Errorf("%s is %s, want %s", tag, s.tag(app, tag), d)
				}
				s.has(app, d)
			}
			for _, d := range tt.untag {
				s.has(app, d)
			}
			if slices.Contains(s.digests(), loose) {
				t.Error("unneeded content is stored")
			}
			s.nothingIsLeft()
			if summary, _ := s.take(data, transfer.ImportRequest{Tag: tt.tag}); summary.New > 100 { // unneeded content is received again
				t.Errorf("the second time: %+v", summary)
			}
		})
	}
}

func TestImportDockerArchive(t *testing.T) {
	layer := strings.Repeat("layer", 1000)
	doc := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromString(layer).String() + `"]}}`
	save := func(tags ...string) []byte {
		a := newArchive(t)
		a.file("abc/layer.tar", layer)
		a.file("config.json", doc)
		a.json("manifest.json", []map[string]any{{"Config": "config.json", "RepoTags": tags, "Layers": []string{"abc/layer.tar"}}})
		return a.bytes()
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(save("alpine:3", "registry.example/org/app:v1")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": save("alpine:3", "registry.example/org/app:v1"), "compressed": packed.Bytes()} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transfer.Options{})
			if summary, _ := s.take(data, transfer.ImportRequest{DryRun: true}); summary.Images != 2 || summary.Manifests != 1 || len(s.digests()) > 0 {
				t.Errorf("%+v", summary)
			}
			summary, _ := s.take(data, transfer.ImportRequest{})
			s.has(base, s.tag(base, "3"))
			s.has(app, s.tag(app, "v1"))
			if summary.Images != 2 || summary.Manifests != 1 || summary.Blobs != 2 || summary.New != summary.Bytes {
				t.Errorf("%+v", summary)
			}
			s.nothingIsLeft()
		})
	}
	s := newSite(t, transfer.Options{})
	s.take(save(), transfer.ImportRequest{Tag: "registry.example/org/app:v1"})
	s.has(app, s.tag(app, "v1"))
}

func TestImportArchiveRequiresSignature(t *testing.T) {
	s := newSite(t, transfer.Options{Signed: true, Verifier: func([]string) (transfer.Verifier, error) { return seal("a"), nil }})
	_, _, err := s.tryTake(bytes.NewReader(layout(t)), transfer.ImportRequest{Tag: "x.example/a:1"})
	wantCode(t, err, mirror.CodeDenied, "is not signed")
	if len(s.digests()) > 0 {
		t.Error("something was stored")
	}
}

func TestImportTruncatedArchiveContinues(t *testing.T) {
	m := newMade()
	image := m.image(t, m.blob(content("one", 3000)), m.blob(content("two", 3000)))
	data := layoutOf(t, m, annotated(image, containerdName, "registry.example/org/app:v1"))
	s := newSite(t, transfer.Options{})
	for offset := 0; offset < len(data)-1024; offset += 700 {
		if _, _, err := s.tryTake(bytes.NewReader(data[:offset]), transfer.ImportRequest{}); err == nil || len(s.tags()) > 0 {
			t.Fatalf("after %d bytes: %v", offset, err)
		}
	}
	if summary, _ := s.take(data, transfer.ImportRequest{}); summary.New > 0 {
		t.Errorf("%+v", summary)
	}
	s.has(app, image.Digest)
}
