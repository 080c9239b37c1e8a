package transfer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// archive is a tar, as its files were added.
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

// layoutOf is an image layout with everything of m, and with these entries in its index.
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

// layout is an image layout of one image that is called 1.0.
func layout(t *testing.T) []byte {
	m := newMade()
	return layoutOf(t, m, annotated(m.image(t, m.blob("layer")), v1.AnnotationRefName, "1.0"))
}

func annotated(desc v1.Descriptor, annotation, name string) v1.Descriptor {
	desc.Annotations = map[string]string{annotation: name}
	return desc
}

const containerdName = "io.containerd.image.name"

func TestLayoutsComeIn(t *testing.T) {
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
		want    map[string]digest.Digest // by tag of app
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
		"it is not whole":       {[]v1.Descriptor{annotated(lacking, containerdName, "x.example/a:1")}, "", nil, nil, mirror.CodeBundleInvalid, digest.FromString("not here either").String()},
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
					t.Errorf("dry run %t: something is left: %v %q", dry, s.digests(), s.tags())
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
				t.Error("what nobody needs is held")
			}
			s.nothingIsLeft()
			if summary, _ := s.take(data, transfer.ImportRequest{Tag: tt.tag}); summary.New > 100 { // what is not needed comes again
				t.Errorf("the second time: %+v", summary)
			}
		})
	}
}

func TestDockerArchivesComeIn(t *testing.T) {
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

func TestForeignArchivesAreNotSigned(t *testing.T) {
	s := newSite(t, transfer.Options{Signed: true, Verifier: func([]string) (transfer.Verifier, error) { return seal("a"), nil }})
	_, _, err := s.tryTake(bytes.NewReader(layout(t)), transfer.ImportRequest{Tag: "x.example/a:1"})
	wantCode(t, err, mirror.CodeDenied, "is not signed")
	if len(s.digests()) > 0 {
		t.Error("something was stored")
	}
}

func TestAForeignArchiveThatEndsEarlyGoesOn(t *testing.T) {
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

// TestALayoutOfNothingButNamesIsRefusedSoon: not after comparing each of them with all others.
func TestALayoutOfNothingButNamesIsRefusedSoon(t *testing.T) {
	const n = 100_000
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}}
	for i := range n {
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(strconv.Itoa(i)), Size: 5})
	}
	a := newArchive(t)
	a.json("oci-layout", v1.ImageLayout{Version: v1.ImageLayoutVersion})
	a.json("index.json", index)
	s := newSite(t, transfer.Options{})
	begun := time.Now()
	_, _, err := s.tryTake(bytes.NewReader(a.bytes()), transfer.ImportRequest{})
	if mirror.CodeOf(err) != mirror.CodeNameInvalid {
		t.Errorf("%v, want %s", err, mirror.CodeNameInvalid)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("%d names took %s", n, took)
	}
}

// TestALayoutOfManyRepositoriesIsRefused, in which few bytes would become a million entries of the index.
func TestALayoutOfManyRepositoriesIsRefused(t *testing.T) {
	m := newMade()
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for i := range 300 {
		index.Manifests = append(index.Manifests, m.image(t, m.blob(strconv.Itoa(i))))
	}
	image := m.manifest(t, v1.MediaTypeImageIndex, index)
	var entries []v1.Descriptor
	for i := range 3600 {
		entries = append(entries, annotated(image, containerdName, "docker.io/team/app"+strconv.Itoa(i)+":1"))
	}
	s := newSite(t, transfer.Options{})
	if _, _, err := s.tryTake(bytes.NewReader(layoutOf(t, m, entries...)), transfer.ImportRequest{}); mirror.CodeOf(err) != mirror.CodeBundleInvalid {
		t.Errorf("%v, want %s", err, mirror.CodeBundleInvalid)
	}
}

// TestImagesWithoutAUsableNameAreLeftOut, and named, while the others come in.
func TestImagesWithoutAUsableNameAreLeftOut(t *testing.T) {
	m := newMade()
	one, two := m.image(t, m.blob("one")), m.image(t, m.blob("two"))
	good := annotated(one, containerdName, "registry.example/org/app:v1")
	for name, tt := range map[string]struct {
		other v1.Descriptor
		tag   string
		says  string            // why it is left out; "" if it is not
		want  map[string]string // other tags of app than v1
	}{
		"no name":            {two, "", "no name in the archive", nil},
		"no name, and --tag": {two, "registry.example/org/app:v2", "", map[string]string{"v2": ""}},
		"capitals":           {annotated(two, containerdName, "registry.example/Team/C:1"), "", "Team/C", nil},
		"capitals and --tag": {annotated(two, containerdName, "registry.example/Team/C:1"), "registry.example/org/app:v2", "", map[string]string{"v2": ""}},
		"none":               {annotated(two, containerdName, "<none>:<none>"), "", "no name in the archive", nil},
		"only a tag":         {annotated(two, v1.AnnotationRefName, "v2"), "", "has only the tag \"v2\"", nil},
		"only a repository":  {annotated(two, containerdName, "registry.example/org/app:<none>"), "", "", nil},
		"pulled by digest":   {annotated(two, v1.AnnotationRefName, "registry.example/org/app:i-was-a-digest"), "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			data := layoutOf(t, m, good, tt.other)
			s := newSite(t, transfer.Options{})
			for _, dry := range []bool{true, false} {
				summary, events, err := s.tryTake(bytes.NewReader(data), transfer.ImportRequest{Tag: tt.tag, DryRun: dry})
				s.must(err)
				left := of(events, transfer.KindSkipped)
				if len(left) != summary.Skipped || (summary.Skipped == 1) != (tt.says != "") {
					t.Fatalf("dry run %t: left out %+v of %+v", dry, left, summary)
				}
				if tt.says != "" && (left[0].Name != two.Digest.String() || !strings.Contains(left[0].Reason, tt.says)) {
					t.Errorf("dry run %t: it says %q", dry, left[0].Reason)
				}
			}
			if s.has(app, one.Digest); s.tag(app, "v1") != one.Digest || len(s.tags()) != 1+len(tt.want) {
				t.Errorf("tags %q", s.tags())
			}
			if tt.says == "" {
				s.has(app, two.Digest)
			}
			s.nothingIsLeft()
		})
	}
}

// TestWhatCosignSavedComesInUnderItsImage: by what it says itself, by its name, or with the only image that there is.
func TestWhatCosignSavedComesInUnderItsImage(t *testing.T) {
	m := newMade()
	one, two := m.image(t, m.blob("one")), m.image(t, m.blob("two"))
	about := func(mediaType, data string) v1.Descriptor {
		layer := m.blob(data)
		layer.MediaType = mediaType
		return m.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
			Config: m.blob("{}"), Layers: []v1.Descriptor{layer}})
	}
	sig := func(d digest.Digest) v1.Descriptor {
		return about("application/vnd.dev.cosign.simplesigning.v1+json", `{"critical":{"image":{"docker-manifest-digest":"`+d.String()+`"}}}`)
	}
	att := func(d digest.Digest) v1.Descriptor {
		statement := `{"subject":[{"name":"x","digest":{"sha256":"` + d.Encoded() + `"}}]}`
		return about("application/vnd.dsse.envelope.v1+json", `{"payload":"`+base64.StdEncoding.EncodeToString([]byte(statement))+`"}`)
	}
	sbom := about("text/spdx", "SPDX")
	kind := func(desc v1.Descriptor, name, kind string) v1.Descriptor {
		annotations := []string{"kind", "dev.cosignproject.cosign/" + kind}
		if name != "" {
			annotations = append(annotations, containerdName, name)
		}
		desc.Annotations = map[string]string{}
		for i := 0; i < len(annotations); i += 2 {
			desc.Annotations[annotations[i]] = annotations[i+1]
		}
		return desc
	}
	of := func(d digest.Digest, suffix string) string { return "sha256-" + d.Encoded() + suffix }
	v1Name, v2Name := "registry.example/org/app:v1", "registry.example/org/app:v2"
	for name, tt := range map[string]struct {
		entries []v1.Descriptor
		tag     string
		want    map[string]digest.Digest
		left    int
	}{
		"a folder of one": {[]v1.Descriptor{kind(one, "", "image"), kind(sig(one.Digest), "", "sigs"), kind(att(one.Digest), "", "atts"), kind(sbom, "", "sboms")}, v1Name,
			map[string]digest.Digest{"v1": one.Digest, of(one.Digest, ".sig"): sig(one.Digest).Digest, of(one.Digest, ".att"): att(one.Digest).Digest, of(one.Digest, ".sbom"): sbom.Digest}, 0},
		"a store of two": {[]v1.Descriptor{kind(sig(two.Digest), v2Name, "sigs"), kind(one, v1Name, "image"), kind(two, v2Name, "image"), kind(sbom, v1Name, "sboms")}, "",
			map[string]digest.Digest{"v1": one.Digest, "v2": two.Digest, of(two.Digest, ".sig"): sig(two.Digest).Digest, of(one.Digest, ".sbom"): sbom.Digest}, 0},
		"about another image": {[]v1.Descriptor{kind(one, v1Name, "image"), kind(sig(two.Digest), v1Name, "sigs")}, "", map[string]digest.Digest{"v1": one.Digest}, 1},
		"of one that has no name": {[]v1.Descriptor{kind(one, v1Name, "image"), kind(two, "", "image"), kind(sig(two.Digest), "", "sigs")}, "",
			map[string]digest.Digest{"v1": one.Digest}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transfer.Options{})
			summary, _ := s.take(layoutOf(t, m, tt.entries...), transfer.ImportRequest{Tag: tt.tag})
			if summary.Skipped != tt.left || len(s.tags()) != len(tt.want) {
				t.Errorf("%+v, tags %q", summary, s.tags())
			}
			for tag, d := range tt.want {
				if s.tag(app, tag) != d {
					t.Errorf("%s is %s, want %s", tag, s.tag(app, tag), d)
				}
				s.has(app, d)
			}
			s.nothingIsLeft()
		})
	}
}

// TestARefusalNamesTheImage that a tag can be given to, and not what is about it.
func TestARefusalNamesTheImage(t *testing.T) {
	m := newMade()
	one := m.image(t, m.blob("one"))
	layer := m.blob(`{"critical":{"image":{"docker-manifest-digest":"` + one.Digest.String() + `"}}}`)
	layer.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	sig := m.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: m.blob("{}"), Layers: []v1.Descriptor{layer}})
	kind := func(desc v1.Descriptor, kind string) v1.Descriptor {
		desc.Annotations = map[string]string{"kind": "dev.cosignproject.cosign/" + kind}
		return desc
	}
	referrer := m.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: m.blob("{}"), Layers: []v1.Descriptor{}, Subject: &v1.Descriptor{MediaType: one.MediaType, Digest: one.Digest, Size: one.Size}})
	for name, entries := range map[string][]v1.Descriptor{
		"cosign save":                    {kind(sig, "sigs"), kind(one, "image")},
		"a tag alone, as oras writes it": {annotated(one, v1.AnnotationRefName, "1"), referrer},
	} {
		s := newSite(t, transfer.Options{})
		_, _, err := s.tryTake(bytes.NewReader(layoutOf(t, m, entries...)), transfer.ImportRequest{})
		if err == nil || !strings.Contains(err.Error(), "image "+one.Digest.String()+" cannot be imported: ") || !strings.Contains(err.Error(), "--tag") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestItIsSaidHowImagesOfAnAddressWithAPortArePulled(t *testing.T) {
	m := newMade()
	one := m.image(t, m.blob("one"))
	s := newSite(t, transfer.Options{})
	_, events := s.take(layoutOf(t, m, annotated(one, containerdName, "reg.corp:5000/team/app:1"), annotated(one, containerdName, "reg.corp:5000/team/b:1"), annotated(one, containerdName, "ghcr.io/team/app:1")), transfer.ImportRequest{})
	notes := of(events, transfer.KindNote)
	if len(notes) != 1 || notes[0].Name != "reg.corp:5000" || !strings.Contains(notes[0].Reason, "?ns=reg.corp:5000") {
		t.Errorf("notes %+v", notes)
	}
}
