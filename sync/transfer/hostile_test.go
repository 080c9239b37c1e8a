package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
)

// made is a bundle that a test composes.
type made struct {
	doc  bundle.Document
	data map[digest.Digest]string
}

func newMade() *made {
	return &made{
		doc:  bundle.Document{Source: "somebody", Sequence: 1, Repositories: []bundle.Repository{{Name: app.String()}}},
		data: map[digest.Digest]string{},
	}
}

func (m *made) blob(data string) v1.Descriptor {
	d := digest.FromString(data)
	if _, twice := m.data[d]; !twice {
		m.data[d] = data
		m.doc.Blobs = append(m.doc.Blobs, bundle.File{Digest: d, Size: int64(len(data))})
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: int64(len(data))}
}

func (m *made) manifest(t testing.TB, mediaType string, v any) v1.Descriptor {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(data)
	m.data[d] = string(data)
	m.doc.Manifests = append(m.doc.Manifests, bundle.Manifest{
		File: bundle.File{Digest: d, Size: int64(len(data))}, MediaType: mediaType, Repositories: []string{app.String()}})
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (m *made) image(t testing.TB, layers ...v1.Descriptor) v1.Descriptor {
	t.Helper()
	return m.manifest(t, v1.MediaTypeImageManifest, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest, Config: m.blob(config("linux/amd64")), Layers: layers})
}

func (m *made) tag(tag string, desc v1.Descriptor) {
	m.doc.Images = append(m.doc.Images, bundle.Image{Repository: app.String(), Tag: tag, Digest: desc.Digest, Why: bundle.WhyNamed})
}

// write writes the bundle. lies replace the content of digests.
func (m *made) write(t testing.TB, lies map[digest.Digest]string) []byte {
	t.Helper()
	contents, err := bundle.Compose(&m.doc, func(d digest.Digest) (string, []byte, error) {
		for _, man := range m.doc.Manifests {
			if man.Digest == d {
				return man.MediaType, []byte(m.data[d]), nil
			}
		}
		return "", nil, errors.New("no manifest")
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = bundle.Write(t.Context(), &out, contents, func(_ context.Context, d digest.Digest) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(m.data[d])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	data := out.Bytes()
	for d, lie := range lies {
		data = bytes.Replace(data, []byte(m.data[d]), []byte(lie), 1)
	}
	return data
}

func TestInvalidBundleLeavesNothing(t *testing.T) {
	index := func(children ...v1.Descriptor) v1.Index {
		return v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: children}
	}
	for name, tt := range map[string]struct {
		make func(t *testing.T, m *made) (lies map[digest.Digest]string)
		code mirror.Code
		says string
	}{
		"a digest that lies": {func(t *testing.T, m *made) map[digest.Digest]string {
			m.tag("v1", m.image(t, m.blob("one"), m.blob(content("two", 100))))
			return map[digest.Digest]string{digest.FromString(content("two", 100)): content("lie", 100)}
		}, mirror.CodeDigestInvalid, digest.FromString(content("two", 100)).String()},
		"a manifest that lies": {func(t *testing.T, m *made) map[digest.Digest]string {
			desc := m.image(t, m.blob("one"))
			m.tag("v1", desc)
			return map[digest.Digest]string{desc.Digest: strings.Replace(m.data[desc.Digest], "manifest.v1", "manifest.v7", 1)}
		}, mirror.CodeDigestInvalid, ""},
		"a blob that is missing": {func(t *testing.T, m *made) map[digest.Digest]string {
			m.tag("v1", m.image(t, m.blob("one"), v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString("none"), Size: 1 << 50}))
			return nil
		}, mirror.CodeBundleInvalid, digest.FromString("none").String()},
		"a blob of another size": {func(t *testing.T, m *made) map[digest.Digest]string {
			layer := m.blob("one")
			layer.Size++
			m.tag("v1", m.image(t, layer))
			return nil
		}, mirror.CodeBundleInvalid, "has 4 bytes, the bundle says 3"},
		"an index of nothing": {func(t *testing.T, m *made) map[digest.Digest]string {
			m.tag("v1", m.manifest(t, v1.MediaTypeImageIndex, index(v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("none"), Size: 9})))
			m.tag("v2", m.image(t, m.blob("one")))
			return nil
		}, mirror.CodeBundleInvalid, "none of the manifests of index"},
		"an index without its manifests there": {func(t *testing.T, m *made) map[digest.Digest]string {
			m.doc.Repositories = append(m.doc.Repositories, bundle.Repository{Name: base.String()})
			image := m.image(t, m.blob("one"))
			m.doc.Manifests[0].Repositories = []string{base.String()}
			m.tag("v1", m.manifest(t, v1.MediaTypeImageIndex, index(image)))
			return nil
		}, mirror.CodeBundleInvalid, "in " + app.String()},
		"an image of another repository": {func(t *testing.T, m *made) map[digest.Digest]string {
			m.doc.Repositories = append(m.doc.Repositories, bundle.Repository{Name: base.String()})
			m.tag("v1", m.image(t, m.blob("one")))
			m.doc.Images[0].Repository = base.String()
			return nil
		}, mirror.CodeBundleInvalid, "does not list the manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMade()
			data := m.write(t, tt.make(t, m))
			s := newSite(t, transfer.Options{})
			s.image(app, mirror.Pushed, "linux/amd64", []string{"mine"}, "mine")
			s.blob(app, "one") // a push is in progress
			held, tags := s.digests(), s.tags()
			_, _, err := s.tryTake(bytes.NewReader(data), transfer.ImportRequest{})
			wantCode(t, err, tt.code, tt.says)
			if now := s.digests(); !slices.Equal(now, held) {
				t.Errorf("%d files are stored, before it were %d", len(now), len(held))
			}
			if now := s.tags(); !slices.Equal(now, tags) {
				t.Errorf("tags %q, there were %q", now, tags)
			}
		})
	}
}

// seal verifies signatures that consist of the name of a key and the digest of the document.
type seal string

func (s seal) Verify(document, signature []byte) (string, error) {
	if string(signature) != string(s)+" "+digest.FromBytes(document).String() {
		return "", mirror.Errorf(mirror.CodeDenied, "it is not signed by %s", string(s))
	}
	return string(s), nil
}

func TestSignatures(t *testing.T) {
	_, data, _ := staged(t)
	sign := func(key string) []byte {
		var out bytes.Buffer
		_, err := bundle.Copy(t.Context(), &out, bytes.NewReader(data), func(document []byte) ([]byte, error) {
			return []byte(key + " " + digest.FromBytes(document).String()), nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	trusting := func(key string) func([]string) (transfer.Verifier, error) {
		return func(keys []string) (transfer.Verifier, error) {
			if len(keys) > 0 {
				return seal(keys[0]), nil
			}
			if key == "" {
				return nil, nil
			}
			return seal(key), nil
		}
	}
	for name, tt := range map[string]struct {
		opts transfer.Options
		keys []string
		data []byte
		key  string
		says string
	}{
		"nobody asks":                        {transfer.Options{}, nil, data, "", ""},
		"nobody asks and it is signed":       {transfer.Options{}, nil, sign("a"), "", ""},
		"trusted here":                       {transfer.Options{Verifier: trusting("a")}, nil, sign("a"), "a", ""},
		"a key is named":                     {transfer.Options{Verifier: trusting("")}, []string{"a"}, sign("a"), "a", ""},
		"not signed, and that is allowed":    {transfer.Options{Verifier: trusting("a")}, nil, data, "", ""},
		"not signed":                         {transfer.Options{Verifier: trusting("a"), Signed: true}, nil, data, "", "is not signed"},
		"not signed and a key is named":      {transfer.Options{Verifier: trusting("a")}, []string{"a"}, data, "", "is not signed"},
		"signed by another":                  {transfer.Options{Verifier: trusting("a")}, nil, sign("b"), "", "not signed by a"},
		"signed, and there is nothing to do": {transfer.Options{Signed: true}, nil, sign("a"), "", "no key is trusted"},
		"signed, and then changed":           {transfer.Options{Verifier: trusting("a")}, nil, bytes.Replace(sign("a"), []byte("a sha256:"), []byte("b sha256:"), 1), "", "not signed by a"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.opts)
			summary, _, err := s.tryTake(bytes.NewReader(tt.data), transfer.ImportRequest{Keys: tt.keys})
			if tt.says == "" {
				s.must(err)
				if summary.Key != tt.key {
					t.Errorf("key %q, want %q", summary.Key, tt.key)
				}
				return
			}
			wantCode(t, err, mirror.CodeDenied, tt.says)
			if len(s.digests()) > 0 {
				t.Error("something was stored")
			}
		})
	}
}
