package generate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Image is one of the images that [Store] stores.
type Image struct {
	Repo     mirror.Repo
	Tag      string
	Origin   mirror.Origin
	Manifest []byte
	Digest   digest.Digest
	Blobs    [][]byte // the config and the layers
}

// Image returns image i, in the order of storing.
func (o Options) Image(i int) Image {
	o = o.withDefaults()
	repo, version := i%o.Repos, i/o.Repos
	image := Image{
		Repo:   mirror.Repo{Host: "docker.io", Path: fmt.Sprintf("team%d/app%d", repo%17, repo)},
		Tag:    fmt.Sprintf("v1.%d", version),
		Origin: mirror.Mirrored,
	}
	if repo%2 == 1 {
		image.Repo.Host, image.Origin = "registry.example", mirror.Pushed
	}
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Labels":{"version":"1.%d","repository":"%d"}},"rootfs":{"type":"layers"}}`, version, repo)
	image.Blobs = [][]byte{config, o.layer(uint64(repo), 0)}
	if i%2 == 1 {
		image.Blobs = append(image.Blobs, o.layer(uint64(i), 1))
	}
	image.Manifest = manifest(image.Blobs)
	image.Digest = digest.FromBytes(image.Manifest)
	return image
}

// layer returns random text, which differs for each seed and kind.
func (o Options) layer(seed, kind uint64) []byte {
	random := rand.New(rand.NewPCG(seed, kind))
	var text strings.Builder
	fmt.Fprintf(&text, "layer %d %d\n", kind, seed)
	for text.Len() < o.LayerBytes {
		fmt.Fprintf(&text, "%016x", random.Uint64())
	}
	return []byte(text.String())
}

func manifest(blobs [][]byte) []byte {
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for i, blob := range blobs {
		desc := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
		if i == 0 {
			desc.MediaType = v1.MediaTypeImageConfig
			m.Config = desc
			continue
		}
		m.Layers = append(m.Layers, desc)
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // the types have no values that JSON lacks
	}
	return data
}
