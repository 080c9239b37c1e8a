//go:build torture

package torture_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// client sends the requests of one client. It repeats none.
type client struct {
	host    string
	options []remote.Option
}

func newClient(ctx context.Context, t *testing.T, url string) *client {
	wire := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(wire.CloseIdleConnections)
	return &client{strings.TrimPrefix(url, "http://"), []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(wire), remote.WithAuth(authn.Anonymous), remote.WithJobs(1),
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	}}
}

// reference parses a reference that a test made.
func (c *client) reference(ref string) name.Reference {
	parsed, err := name.ParseReference(c.host+"/"+ref, name.Insecure)
	if err != nil {
		panic(err)
	}
	return parsed
}

// content is an image or an index.
type content interface {
	remote.Taggable
	Digest() (v1.Hash, error)
}

// push pushes content with its blobs.
func (c *client) push(ref string, what content) error {
	if index, ok := what.(v1.ImageIndex); ok {
		return remote.WriteIndex(c.reference(ref), index, c.options...)
	}
	return remote.Write(c.reference(ref), what.(v1.Image), c.options...)
}

// tag pushes only the manifest of content that is stored.
func (c *client) tag(ref string, what content) error {
	return remote.Put(c.reference(ref), what, c.options...)
}

// mount pushes an image of another repository, whose blobs the server mounts, and returns its digest.
func (c *client) mount(from, to string) (string, error) {
	image, err := remote.Image(c.reference(from), c.options...)
	if err != nil {
		return "", err
	}
	return digestOf(image), remote.Write(c.reference(to), image, c.options...)
}

func (c *client) remove(ref string) error { return remote.Delete(c.reference(ref), c.options...) }

// sparse follows the digest of an index of which an image is not stored.
const sparse = ", sparse"

// pull reads content with all of its blobs, which are verified, and returns its digest; absent if the manifest is not
// stored.
func (c *client) pull(ref string) (digest string, err error) {
	got, err := remote.Get(c.reference(ref), c.options...)
	if notFound(err) {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	if !got.MediaType.IsIndex() {
		image, err := got.Image()
		if err != nil {
			return "", err
		}
		return got.Digest.String(), drain(image)
	}
	index, err := got.ImageIndex()
	if err != nil {
		return "", err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", err
	}
	digest = got.Digest.String()
	for _, child := range manifest.Manifests {
		image, err := index.Image(child.Digest)
		if notFound(err) {
			digest = got.Digest.String() + sparse
			continue
		}
		if err == nil {
			err = drain(image)
		}
		if err != nil {
			return "", err
		}
	}
	return digest, nil
}

// drain reads all blobs of an image, which the client verifies.
func drain(image v1.Image) error {
	if _, err := image.RawConfigFile(); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := readAll(layer); err != nil {
			return err
		}
	}
	return nil
}

func readAll(layer v1.Layer) error {
	r, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func (c *client) pushBlob(repo string, layer v1.Layer) error {
	return remote.WriteLayer(c.reference(repo).Context(), layer, c.options...)
}

// pullBlob returns the digest of a blob; absent if it is not stored.
func (c *client) pullBlob(ref string) (digest string, err error) {
	layer, err := remote.Layer(c.reference(ref).(name.Digest), c.options...)
	if err != nil {
		return "", err
	}
	if err := readAll(layer); notFound(err) {
		return absent, nil
	} else if err != nil {
		return "", err
	}
	return c.reference(ref).Identifier(), nil
}

// notFound reports whether an error is the answer 404 of the server.
func notFound(err error) bool {
	var failed *transport.Error
	return errors.As(err, &failed) && failed.StatusCode == http.StatusNotFound
}

// newLayer makes a blob of up to size random bytes.
func newLayer(rnd *rand.Rand, size int) v1.Layer {
	data := make([]byte, 1+rnd.IntN(size))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	return static.NewLayer(data, types.OCILayer)
}

// newContent makes an image of one to three layers, of which some are large, or an index.
func newContent(rnd *rand.Rand) content {
	if rnd.IntN(8) == 0 {
		platforms := []mutate.IndexAddendum{{Add: newImage(rnd)}, {Add: newImage(rnd)}}
		for i, architecture := range []string{"amd64", "arm64"} {
			platforms[i].Descriptor.Platform = &v1.Platform{OS: "linux", Architecture: architecture}
		}
		return mutate.AppendManifests(empty.Index, platforms...)
	}
	return newImage(rnd)
}

func newImage(rnd *rand.Rand) v1.Image {
	var layers []v1.Layer
	for range 1 + rnd.IntN(3) {
		size := 4 << 10
		switch rnd.IntN(10) {
		case 0:
			size = 4 << 20
		case 1, 2:
			size = 300 << 10
		}
		layers = append(layers, newLayer(rnd, size))
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Config(image, v1.Config{Labels: map[string]string{"n": fmt.Sprint(rnd.Uint64())}})
	if err == nil {
		image, err = mutate.AppendLayers(image, layers...)
	}
	if err != nil {
		panic(err) // of content in memory
	}
	return image
}

// digestOf returns the digest of content that a test made.
func digestOf(what interface{ Digest() (v1.Hash, error) }) string {
	digest, err := what.Digest()
	if err != nil {
		panic(err)
	}
	return digest.String()
}
