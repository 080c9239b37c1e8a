package bundle_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/bundle"
)

// item is an item of manifest.json.
type item struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func TestIndexAnnotations(t *testing.T) {
	c, images := some(t)
	contents := c.compose(t, c.document(images))
	var index v1.Index
	if err := json.Unmarshal(contents.Index, &index); err != nil {
		t.Fatal(err)
	}
	const name, ref = "io.containerd.image.name", v1.AnnotationRefName
	app := images[slices.IndexFunc(images, func(i bundle.Image) bool { return i.Tag == "v1" })].Digest.String()
	want := []map[string]string{ // in the order of their references
		{name: "docker.io/library/alpine:3", ref: "docker.io/library/alpine:3"},
		{name: "docker.io/org/app:v1", ref: "docker.io/org/app:v1"},
		{name: "ghcr.io/org/app:v1", ref: "ghcr.io/org/app:v1"},
		{name: "ghcr.io/org/app@" + app},
		{"vnd.airmirror.repository": "ghcr.io/org/app", "io.containerd.manifest.subject": app},
	}
	var got []map[string]string
	for _, desc := range index.Manifests {
		got = append(got, desc.Annotations)
		if h := c[desc.Digest]; desc.MediaType != h.mediaType || desc.Size != int64(len(h.data)) {
			t.Errorf("index.json has %+v", desc)
		}
		if refers := desc.Annotations["vnd.airmirror.repository"] != ""; refers != (desc.ArtifactType == "application/vnd.example.signature") {
			t.Errorf("%v has the artifact type %q", desc.Annotations, desc.ArtifactType)
		}
	}
	sortByText(got)
	sortByText(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("index.json has %v\nwant %v", got, want)
	}
}

// TestIndexHasNoNamesForSignatures checks that signatures have no names, because containerd would fail to unpack them.
func TestIndexHasNoNamesForSignatures(t *testing.T) {
	c := content{}
	app := c.image(t, "amd64", "layer")
	signature := c.signature(t, app)
	const tag = "sha256-0123.sig"
	for why, named := range map[string]bool{bundle.WhyReferrer: false, bundle.WhyAll: false, bundle.WhyNamed: true, bundle.WhyWanted: true} {
		doc := c.document([]bundle.Image{{
			Repository: "docker.io/org/app", Tag: "v1", Digest: app.Digest, Why: bundle.WhyAll,
		}, {
			Repository: "docker.io/org/app", Tag: tag, Digest: signature.Digest, Why: why, Subject: app.Digest,
		}})
		var index v1.Index
		if err := json.Unmarshal(c.compose(t, doc).Index, &index); err != nil {
			t.Fatal(err)
		}
		names := map[digest.Digest]bool{}
		for _, desc := range index.Manifests {
			names[desc.Digest] = desc.Annotations["io.containerd.image.name"] != "" || desc.Annotations[v1.AnnotationRefName] != ""
		}
		if !names[app.Digest] || names[signature.Digest] != named {
			t.Errorf("%s: %v have a name, want the image %s, and the signature %s: %v", why, names, app.Digest, signature.Digest, named)
		}
	}
}

// TestIndexNamesAreIndependentOfOtherImages checks that an image has the same name alone and with other images of its
// tag.
func TestIndexNamesAreIndependentOfOtherImages(t *testing.T) {
	c := content{}
	app := bundle.Image{Repository: "docker.io/org/app", Tag: "v1", Digest: c.image(t, "amd64", "layer").Digest, Why: bundle.WhyNamed}
	other := app
	other.Repository = "quay.io/org/app"
	for _, images := range [][]bundle.Image{{app}, {app, other}} {
		var index v1.Index
		if err := json.Unmarshal(c.compose(t, c.document(images)).Index, &index); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"io.containerd.image.name": "docker.io/org/app:v1", v1.AnnotationRefName: "docker.io/org/app:v1"}
		if got := index.Manifests[0].Annotations; !reflect.DeepEqual(got, want) {
			t.Errorf("with %d images: %v, want %v", len(images), got, want)
		}
	}
}

// TestIndexOmitsReferrersInIndexes checks that an attestation is not listed if an index of the bundle contains it, and
// that a signature that no index contains is listed with its subject.
func TestIndexOmitsReferrersInIndexes(t *testing.T) {
	c := content{}
	app := c.image(t, "amd64", "layer")
	attestation, signature := c.signature(t, app), c.signature(t, c.index(t, app))
	index := c.index(t, app, attestation)
	about := func(d v1.Descriptor, subject digest.Digest) bundle.Image {
		return bundle.Image{Repository: "docker.io/org/app", Digest: d.Digest, Why: bundle.WhyReferrer, Subject: subject}
	}
	doc := c.document([]bundle.Image{{Repository: "docker.io/org/app", Tag: "v1", Digest: index.Digest, Why: bundle.WhyNamed},
		about(attestation, app.Digest), about(signature, index.Digest)})
	var made v1.Index
	if err := json.Unmarshal(c.compose(t, doc).Index, &made); err != nil {
		t.Fatal(err)
	}
	subjects := map[digest.Digest]string{}
	for _, desc := range made.Manifests {
		subjects[desc.Digest] = desc.Annotations["io.containerd.manifest.subject"]
	}
	if want := map[digest.Digest]string{index.Digest: "", signature.Digest: index.Digest.String()}; !reflect.DeepEqual(subjects, want) {
		t.Errorf("index.json lists %v, want %v", subjects, want)
	}
}

func sortByText(list []map[string]string) {
	slices.SortFunc(list, func(a, b map[string]string) int {
		return strings.Compare(a["io.containerd.image.name"], b["io.containerd.image.name"])
	})
}

func TestDockerManifestHasCompleteImages(t *testing.T) {
	c := content{}
	amd, arm := c.image(t, "amd64", "base", "amd"), c.image(t, "arm64", "base", "arm")
	index := c.index(t, arm, amd)
	windows := c.image(t, "amd64", "windows")
	windows.Platform = &v1.Platform{OS: "windows", Architecture: "amd64"}
	windowsIndex := c.index(t, windows)
	artifact := c.signature(t, amd)
	image := func(repo, tag string, d v1.Descriptor) bundle.Image {
		return bundle.Image{Repository: repo, Tag: tag, Digest: d.Digest, Why: bundle.WhyNamed}
	}
	referrer := image("docker.io/library/alpine", "", c.image(t, "amd64", "about alpine"))
	referrer.Why = bundle.WhyReferrer
	images := []bundle.Image{referrer, image("docker.io/library/alpine", "3", index), image("docker.io/org/app", "v1", amd),
		image("ghcr.io/org/app", "v1", amd), image("localhost:5000/library/x", "v1", arm), image("docker.io/a/artifact", "1", artifact),
		image("docker.io/b/windows", "1", windowsIndex)}
	item1 := func(d v1.Descriptor, tags ...string) item {
		var m v1.Manifest
		if err := json.Unmarshal(c[d.Digest].data, &m); err != nil {
			t.Fatal(err)
		}
		it := item{Config: "blobs/sha256/" + m.Config.Digest.Encoded(), RepoTags: tags}
		for _, layer := range m.Layers {
			it.Layers = append(it.Layers, "blobs/sha256/"+layer.Digest.Encoded())
		}
		return it
	}
	tests := map[string]struct {
		leftOut []v1.Descriptor
		want    []item
	}{
		"all": {nil, []item{item1(amd, "docker.io/library/alpine:3"), item1(amd, "docker.io/org/app:v1", "ghcr.io/org/app:v1"), item1(arm, "localhost:5000/library/x:v1")}},
		"no amd64": {[]v1.Descriptor{c.blob([]byte("amd"))},
			[]item{item1(arm, "docker.io/library/alpine:3"), item1(arm, "localhost:5000/library/x:v1")}},
		"no manifest": {[]v1.Descriptor{index}, []item{item1(amd, "docker.io/org/app:v1", "ghcr.io/org/app:v1"), item1(arm, "localhost:5000/library/x:v1")}},
		"nothing":     {[]v1.Descriptor{c.blob([]byte("base"))}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			doc := c.document(slices.Clone(images), digests(test.leftOut)...)
			contents := c.compose(t, doc)
			var got []item
			if contents.Docker != nil {
				if err := json.Unmarshal(contents.Docker, &got); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("manifest.json has %+v\nwant %+v", got, test.want)
			}
			if _, listed := doc.Files[bundle.DockerName]; listed != (test.want != nil) {
				t.Errorf("manifest.json is listed: %t", listed)
			}
			c.write(t, contents)
		})
	}
}

func TestContradictoryDocuments(t *testing.T) {
	c, _ := some(t)
	tests := map[string]func(doc *bundle.Document){
		"manifest neither here nor assumed": func(doc *bundle.Document) { doc.Manifests = nil },
		"manifest that is a blob":           func(doc *bundle.Document) { doc.Images[0].Digest = doc.Blobs[0].Digest },
		"blob twice":                        func(doc *bundle.Document) { doc.Blobs = append(doc.Blobs, doc.Blobs[0]) },
		"manifest among blobs":              func(doc *bundle.Document) { doc.Blobs = append(doc.Blobs, doc.Manifests[0].File) },
		"assumed and here":                  func(doc *bundle.Document) { doc.Assumes = []bundle.Assumed{{File: doc.Blobs[0]}} },
		"tag twice":                         func(doc *bundle.Document) { doc.Images = append(doc.Images, doc.Images[0]) },
		"tag that is none":                  func(doc *bundle.Document) { doc.Images[0].Tag = "../x" },
		"unknown repository":                func(doc *bundle.Document) { doc.Repositories = doc.Repositories[1:] },
		"repository that is none":           func(doc *bundle.Document) { doc.Repositories[0].Name = "x/../y" },
		"repository twice":                  func(doc *bundle.Document) { doc.Repositories = append(doc.Repositories, doc.Repositories[0]) },
		"negative size":                     func(doc *bundle.Document) { doc.Blobs[0].Size = -1 },
		"sizes that overflow":               func(doc *bundle.Document) { doc.Blobs[0].Size, doc.Blobs[1].Size = 1<<62, 1<<62 },
		"manifest of terabytes":             func(doc *bundle.Document) { doc.Manifests[0].Size = 1 << 40 },
		"manifest without repository":       func(doc *bundle.Document) { doc.Manifests[0].Repositories = nil },
		"digest that is none":               func(doc *bundle.Document) { doc.Blobs[0].Digest = "sha256:../../etc/passwd" },
		"control characters":                func(doc *bundle.Document) { doc.Host = "\x1b]0;x\x07" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			_, images := some(t)
			doc := c.document(images)
			change(doc)
			_, err := bundle.Compose(doc, c.load)
			isInvalid(t, err)
		})
	}
}

func digests(descs []v1.Descriptor) (list []digest.Digest) {
	for _, desc := range descs {
		list = append(list, desc.Digest)
	}
	return list
}
