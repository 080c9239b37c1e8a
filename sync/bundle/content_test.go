package bundle_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// content is the content of a mirror: manifests with media types, and blobs without.
type content map[digest.Digest]held

type held struct {
	mediaType string
	data      []byte
}

func (c content) blob(data []byte) v1.Descriptor { return c.put("", data) }

func (c content) put(mediaType string, data []byte) v1.Descriptor {
	d := digest.FromBytes(data)
	c[d] = held{mediaType, data}
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

// image adds an image for a platform with these layers.
func (c content) image(t testing.TB, arch string, layers ...string) v1.Descriptor {
	t.Helper()
	image := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	config := v1.Image{Platform: v1.Platform{OS: "linux", Architecture: arch}, RootFS: v1.RootFS{Type: "layers"}}
	for _, layer := range layers {
		desc := c.blob([]byte(layer))
		desc.MediaType = v1.MediaTypeImageLayer
		image.Layers = append(image.Layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, desc.Digest)
	}
	image.Config = c.blob(encode(t, config))
	image.Config.MediaType = v1.MediaTypeImageConfig
	desc := c.put(v1.MediaTypeImageManifest, encode(t, image))
	desc.Platform = &config.Platform
	return desc
}

func (c content) index(t testing.TB, children ...v1.Descriptor) v1.Descriptor {
	t.Helper()
	return c.put(v1.MediaTypeImageIndex, encode(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: children}))
}

// signature adds an artifact that refers to subject.
func (c content) signature(t testing.TB, subject v1.Descriptor) v1.Descriptor {
	t.Helper()
	empty := c.blob([]byte("{}"))
	empty.MediaType = v1.MediaTypeEmptyJSON
	return c.put(v1.MediaTypeImageManifest, encode(t, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/vnd.example.signature", Config: empty,
		Layers: []v1.Descriptor{empty}, Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}}))
}

func (c content) load(d digest.Digest) (string, []byte, error) {
	h, ok := c[d]
	if !ok || h.mediaType == "" {
		return "", nil, fmt.Errorf("no manifest %s", d)
	}
	return h.mediaType, h.data, nil
}

func (c content) open(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
	h, ok := c[d]
	if !ok {
		return nil, fmt.Errorf("%s is not stored", d)
	}
	return io.NopCloser(bytes.NewReader(h.data)), nil
}

// document returns a document with images that lists c, except for some content, in random order.
func (c content) document(images []bundle.Image, leftOut ...digest.Digest) *bundle.Document {
	doc := &bundle.Document{Source: "staging-1", Host: "host", Destination: "plant-7", Sequence: 3, Tool: "mirror 1",
		Created: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), Images: images}
	var repos []string
	for _, image := range images {
		if !slices.Contains(repos, image.Repository) {
			repos = append(repos, image.Repository)
			doc.Repositories = append(doc.Repositories, bundle.Repository{Name: image.Repository})
		}
	}
	for d, h := range c {
		file := bundle.File{Digest: d, Size: int64(len(h.data))}
		switch {
		case slices.Contains(leftOut, d) && h.mediaType != "":
			doc.Assumes = append(doc.Assumes, bundle.Assumed{File: file, MediaType: h.mediaType, Repositories: repos, Bundle: "before"})
		case slices.Contains(leftOut, d):
			doc.Assumes = append(doc.Assumes, bundle.Assumed{File: file, Bundle: "before"})
		case h.mediaType != "":
			doc.Manifests = append(doc.Manifests, bundle.Manifest{File: file, MediaType: h.mediaType, Repositories: repos})
		default:
			doc.Blobs = append(doc.Blobs, file)
		}
	}
	return doc
}

func (c content) compose(t testing.TB, doc *bundle.Document) *bundle.Contents {
	t.Helper()
	contents, err := bundle.Compose(doc, c.load)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

func (c content) write(t testing.TB, contents *bundle.Contents) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := bundle.Write(t.Context(), &buf, contents, c.open); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// some returns an index, an image with two names, an image without a name, and a signature.
func some(t testing.TB) (content, []bundle.Image) {
	t.Helper()
	c := content{}
	index := c.index(t, c.image(t, "arm64", "arm layer"), c.image(t, "amd64", "amd layer", ""))
	app := c.image(t, "amd64", "amd layer", string(bytes.Repeat([]byte("app"), 1000)))
	signature := c.signature(t, app)
	return c, []bundle.Image{
		{Repository: "ghcr.io/org/app", Tag: "v1", Digest: app.Digest, Why: bundle.WhyNamed, Origin: "mirrored"},
		{Repository: "docker.io/library/alpine", Tag: "3", Digest: index.Digest, Why: bundle.WhyNamed, Origin: "mirrored", Platforms: []string{"linux/arm64", "linux/amd64"}},
		{Repository: "ghcr.io/org/app", Digest: signature.Digest, Why: bundle.WhyReferrer, Subject: app.Digest},
		{Repository: "docker.io/org/app", Tag: "v1", Digest: app.Digest, Why: bundle.WhyAll, Origin: "pushed"},
		{Repository: "ghcr.io/org/app", Digest: app.Digest, Why: bundle.WhyWanted},
	}
}

// someBundle returns a bundle of some.
func someBundle(t testing.TB) (content, *bundle.Contents, []byte) {
	t.Helper()
	c, images := some(t)
	contents := c.compose(t, c.document(images))
	return c, contents, c.write(t, contents)
}

// readAll reads and verifies all entries of r.
func readAll(t testing.TB, r *bundle.Reader) content {
	t.Helper()
	got := content{}
	for {
		e, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(e)
		if err != nil {
			t.Fatal(err)
		}
		got.take(t, e, data)
	}
}

func (c content) take(t testing.TB, e *bundle.Entry, data []byte) {
	t.Helper()
	d := cmp.Or(e.Digest, digest.FromBytes(data))
	if d.Algorithm().FromBytes(data) != d || int64(len(data)) != e.Size {
		t.Fatalf("%s has other content: %d bytes of %d", d, len(data), e.Size)
	}
	if _, twice := c[d]; twice {
		t.Fatalf("%s is yielded twice", d)
	}
	e.SetDigest(d)
	c[d] = held{fmt.Sprint(e.Manifest), data}
}

// holds fails the test unless got has the content of want, with the right manifests.
func (c content) holds(t testing.TB, got content) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(c)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("got %d blobs and manifests, want %d", len(got), len(c))
	}
	for d, h := range c {
		if got[d].mediaType != fmt.Sprint(h.mediaType != "") {
			t.Errorf("%s: manifest %s, is %q", d, got[d].mediaType, h.mediaType)
		}
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func isInvalid(t testing.TB, err error) {
	t.Helper()
	if mirror.CodeOf(err) != mirror.CodeBundleInvalid {
		t.Fatalf("error %v with code %s, want %s", err, mirror.CodeOf(err), mirror.CodeBundleInvalid)
	}
}

// says checks that an archive was found invalid for the wanted reason.
func says(t testing.TB, err error, want string) {
	t.Helper()
	if isInvalid(t, err); err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want one that contains %q", err, want)
	}
}
