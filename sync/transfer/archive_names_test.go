package transfer_test

import (
	"bytes"
	"encoding/base64"
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

// TestLayoutWithManyNames checks that a layout of names only is rejected without comparing each name with all others:
// ten times as many names take about ten times as long, not a hundred times.
func TestLayoutWithManyNames(t *testing.T) {
	few, many := rejectNames(t, 10_000), rejectNames(t, 100_000)
	if ratio := float64(many) / float64(few); ratio > 50 {
		t.Errorf("ten times as many names took %.0f times as long: %s and %s", ratio, few, many)
	}
}

// rejectNames imports a layout of n images without a name, which is rejected, and returns how long that took.
func rejectNames(t *testing.T, n int) time.Duration {
	t.Helper()
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
	return time.Since(begun)
}

// TestLayoutWithManyRepositories imports a small layout that would add a million entries to the index.
func TestLayoutWithManyRepositories(t *testing.T) {
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

// TestImagesWithoutUsableNameAreSkipped checks that such images are reported, and that the others are imported.
func TestImagesWithoutUsableNameAreSkipped(t *testing.T) {
	m := newMade()
	one, two := m.image(t, m.blob("one")), m.image(t, m.blob("two"))
	good := annotated(one, containerdName, "registry.example/org/app:v1")
	for name, tt := range map[string]struct {
		other v1.Descriptor
		tag   string
		says  string            // reason for skipping; empty if it is imported
		want  map[string]string // tags of app except v1
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
					t.Fatalf("dry run %t: skipped %+v of %+v", dry, left, summary)
				}
				if tt.says != "" && (left[0].Name != two.Digest.String() || !strings.Contains(left[0].Reason, tt.says)) {
					t.Errorf("dry run %t: reason %q", dry, left[0].Reason)
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

// TestImportCosignLayout checks that signatures are added to their images: to the one that they name, to the one with
// the same name, or to the only one.
func TestImportCosignLayout(t *testing.T) {
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

// TestErrorNamesImage checks that the error names the image for --tag, and not a signature of it.
func TestErrorNamesImage(t *testing.T) {
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

func TestHostsWithPortsAreReported(t *testing.T) {
	m := newMade()
	one := m.image(t, m.blob("one"))
	s := newSite(t, transfer.Options{})
	_, events := s.take(layoutOf(t, m, annotated(one, containerdName, "reg.corp:5000/team/app:1"), annotated(one, containerdName, "reg.corp:5000/team/b:1"), annotated(one, containerdName, "ghcr.io/team/app:1")), transfer.ImportRequest{})
	notes := of(events, transfer.KindNote)
	if len(notes) != 1 || notes[0].Name != "reg.corp:5000" || !strings.Contains(notes[0].Reason, "?ns=reg.corp:5000") {
		t.Errorf("notes: %+v", notes)
	}
}
