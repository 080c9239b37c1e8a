package upstream_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/upstream"
)

func zip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func serveZipped(body []byte, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", indexType)
		if len(header) > 0 {
			w.Header().Set("Docker-Content-Digest", header[0])
		}
		_, _ = w.Write(body)
	}
}

// TestCompressedManifest has a response with a content encoding that was not requested: the digest decides.
func TestCompressedManifest(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"with its digest": serveZipped(zip(index), indexSHA.String()), "without one": serveZipped(zip(index)), "not compressed": serveZipped(index),
	} {
		for _, ref := range []mirror.Ref{appTag, appDigest} {
			t.Run(name+" "+ref.String(), func(t *testing.T) {
				n := newNetwork(t)
				n.serve("registry.test", answer)
				c := n.client(upstream.Options{}, "http://registry.test")
				m, err := c.Manifest(t.Context(), ref)
				if err != nil || m.Digest != indexSHA || !bytes.Equal(m.Bytes, index) {
					t.Errorf("manifest is %s, %v", m.Bytes, err)
				}
				if desc, err := c.Resolve(t.Context(), ref); err != nil || desc.Size != int64(len(index)) {
					t.Errorf("resolved %+v, %v", desc, err)
				}
			})
		}
	}
	n := newNetwork(t)
	n.serve("registry.test", serveZipped(zip(make([]byte, mirror.MaxManifestSize+1))))
	_, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeManifestTooLarge)
}

// TestCompressedBlob has a compressed layer whose response claims a content encoding.
func TestCompressedBlob(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "file", Size: 3, Format: tar.FormatUSTAR})
	_, _ = w.Write([]byte("abc"))
	_ = w.Close()
	layer, config := zip(archive.Bytes()), []byte(`{"os":"linux"}`)
	for name, test := range map[string]struct{ sent, want []byte }{
		"a config":        {zip(config), config},
		"a layer, twice":  {zip(layer), layer},
		"a layer, once":   {layer, layer},
		"not compressed":  {config, config},
		"nothing at all":  {nil, nil},
		"a large one":     {zip(bytes.Repeat(config, 1<<16)), bytes.Repeat(config, 1<<16)},
		"not really gzip": {[]byte("\x1f\x8bnot"), []byte("\x1f\x8bnot")},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("registry.test", serveZipped(test.sent))
			c := n.client(upstream.Options{}, "http://registry.test")
			body, size, err := c.Blob(t.Context(), app, digest.FromBytes(test.want))
			if err != nil || size != -1 {
				t.Fatalf("%d bytes, %v", size, err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("got %d bytes, want %d, %v", len(got), len(test.want), err)
			}
		})
	}
}

// TestHeaderContradictsManifest checks that the manifest's own media type wins.
func TestHeaderContradictsManifest(t *testing.T) {
	for _, said := range []string{mirror.MediaTypeDockerManifest, "application/vnd.other+json"} {
		n := newNetwork(t)
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", said)
			_, _ = w.Write(index)
		}))
		m, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
		if err != nil || m.MediaType != indexType {
			t.Errorf("%s: media type is %s, %v", said, m.MediaType, err)
		}
	}
}

// TestSignedSchema1 checks the error for a signed manifest of schema 1.
func TestSignedSchema1(t *testing.T) {
	payload := `{"schemaVersion":1,"name":"org/app","fsLayers":[]`
	n := newNetwork(t)
	n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
		w.Header().Set("Docker-Content-Digest", digest.FromString(payload+"}").String())
		_, _ = io.Copy(w, strings.NewReader(payload+`,"signatures":[{"signature":"x"}]}`))
	}))
	_, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "a signed manifest of schema 1")
}
