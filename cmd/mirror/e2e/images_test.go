//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// format is the family of media types that an image is written in. Clients still meet both.
type format struct{ index, manifest, config, layer types.MediaType }

var (
	ociFormat    = format{types.OCIImageIndex, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer}
	dockerFormat = format{types.DockerManifestList, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer}
)

// helloIndex makes an image for two platforms. On this machine's it prints the greeting; on the other there is only the
// greeting to look at.
func helloIndex(t *testing.T, f format, greeting string) v1.ImageIndex {
	t.Helper()
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, f.index),
		mutate.IndexAddendum{Add: platform{helloImage(t, f, greeting)}, Descriptor: linux(runtime.GOARCH)},
		mutate.IndexAddendum{
			Add:        platform{image(t, f, other, "/greeting", fileLayer(t, f, "greeting", 0o644, []byte(greeting)))},
			Descriptor: linux(other),
		},
	)
}

// helloImage makes an image of two layers for this machine's platform: a static busybox, and the greeting it prints.
func helloImage(t *testing.T, f format, greeting string) v1.Image {
	t.Helper()
	return image(t, f, runtime.GOARCH, "/bin/busybox", busyboxLayer(t, f), fileLayer(t, f, "greeting", 0o644, []byte(greeting)))
}

// busyboxLayer makes a layer with a static busybox in it, under these names as well.
func busyboxLayer(t *testing.T, f format, links ...string) v1.Layer {
	t.Helper()
	need(t, "busybox")
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fileLayer(t, f, "bin/busybox", 0o755, busybox, links...)
}

// bigLayer is a layer of a known digest and size, as it is stored.
type bigLayer struct {
	v1.Hash
	size int64
}

// bigIndex makes an image for this machine's platform with one layer of at least this size.
func bigIndex(t *testing.T, size int) (v1.ImageIndex, bigLayer) {
	t.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	layer := layerOf(t, ociFormat, archive(t, "big", 0o644, content), tarball.WithCompressionLevel(gzip.NoCompression))
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := layer.Size()
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, ociFormat.index), mutate.IndexAddendum{
		Add:        platform{image(t, ociFormat, runtime.GOARCH, "/big", layer)},
		Descriptor: linux(runtime.GOARCH),
	})
	return index, bigLayer{digest, stored}
}

// platform is an image in an index. The index would otherwise repeat the config's media type as an artifactType, as no
// tool that builds images does, and skopeo of Debian 12 would drop that and thereby change the digest.
type platform struct{ v1.Image }

func (platform) ArtifactType() (string, error) { return "", nil }

func linux(arch string) v1.Descriptor {
	return v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}
}

func image(t *testing.T, f format, arch, program string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, f.manifest), f.config)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Entrypoint, config.Config.Cmd = []string{program}, []string{"cat", "/greeting"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// fileLayer makes a layer with one file in it, and symbolic links to that beside it.
func fileLayer(t *testing.T, f format, file string, mode int64, content []byte, links ...string) v1.Layer {
	t.Helper()
	return layerOf(t, f, archive(t, file, mode, content, links...))
}

// archive makes a tar of one file, and symbolic links to that beside it.
func archive(t *testing.T, file string, mode int64, content []byte, links ...string) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: file, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		header := &tar.Header{Name: path.Join(path.Dir(file), link), Linkname: path.Base(file), Mode: 0o777, Typeflag: tar.TypeSymlink}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func layerOf(t *testing.T, f format, archive []byte, options ...tarball.LayerOption) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive)), nil
	}, append(options, tarball.WithMediaType(f.layer))...)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// push writes an index to a registry as the reference, such as 127.0.0.1:5000/team/app:1, and returns its digest.
func push(t *testing.T, index v1.ImageIndex, reference string, options ...remote.Option) v1.Hash {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	// Connections of our own, closed after use: a server that stops waits five seconds for one that was never used.
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if err := remote.WriteIndex(ref, index, append(options, remote.WithTransport(transport))...); err != nil {
		t.Fatalf("pushing %s: %v", reference, err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}
