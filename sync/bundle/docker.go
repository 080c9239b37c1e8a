package bundle

import (
	"encoding/json"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// loadable is an item of manifest.json, an image that docker load can load.
//
// https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format
type loadable struct {
	Config string
	// RepoTags are full references. docker save omits docker.io/library/, and docker load adds it, but podman would add
	// localhost/.
	RepoTags []string
	Layers   []string
}

// in returns the item with its files in the folder dir.
func (l loadable) in(dir string) loadable {
	if dir == "." {
		return l
	}
	l.Config = path.Join(dir, l.Config)
	l.Layers = slices.Clone(l.Layers)
	for i, layer := range l.Layers {
		l.Layers[i] = path.Join(dir, layer)
	}
	return l
}

// Media types that docker load supports.
var (
	configTypes = []string{v1.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"}
	layerTypes  = []string{
		v1.MediaTypeImageLayer, v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayerZstd,
		"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip",
	}
)

// docker composes manifest.json. It returns nil if there are no images for it. docker load loads all images or fails,
// so manifest.json contains only complete images for Linux.
func (l *manifestLoader) docker() ([]byte, error) {
	images := map[digest.Digest]*loadable{} // nil for images that cannot be loaded
	var list []*loadable
	for _, image := range l.doc.Images {
		if image.Why == WhyReferrer || !l.included[image.Digest] {
			continue
		}
		item, seen := images[image.Digest]
		if !seen {
			var err error
			if item, err = l.loadable(image.Digest); err != nil {
				return nil, err
			}
			images[image.Digest] = item
			if item != nil {
				list = append(list, item)
			}
		}
		if item != nil && image.Tag != "" {
			item.RepoTags = append(item.RepoTags, image.Repository+":"+image.Tag)
		}
	}
	if list == nil {
		return nil, nil
	}
	return encode(list)
}

// loadable returns the item for the manifest d, or nil if docker load cannot load it. For an index, it chooses
// linux/amd64, or the first image that can be loaded if there is no linux/amd64.
func (l *manifestLoader) loadable(d digest.Digest) (*loadable, error) {
	mediaType, data, err := l.load(d)
	if err != nil {
		return nil, err
	}
	mediaType, refs, err := mirror.ParseManifest(mediaType, data)
	if err != nil || !mirror.KnownManifestType(mediaType) {
		return nil, err
	}
	if !mirror.IsIndex(mediaType) {
		return l.completeImage(data), nil
	}
	slices.SortStableFunc(refs.Manifests, func(a, b v1.Descriptor) int { return rank(a) - rank(b) })
	for _, child := range refs.Manifests {
		if rank(child) == rankUnloadable || !l.manifests[child.Digest] { // an index may declare a blob as a manifest
			continue
		}
		mediaType, data, err := l.load(child.Digest)
		if err == nil {
			mediaType, _, err = mirror.ParseManifest(mediaType, data)
		}
		if err != nil {
			return nil, err
		}
		if mirror.IsIndex(mediaType) {
			continue
		}
		if item := l.completeImage(data); item != nil {
			return item, nil
		}
	}
	return nil, nil
}

const rankUnloadable = 3

// rank ranks the entries of an index; lower is better.
func rank(desc v1.Descriptor) int {
	switch p := desc.Platform; {
	case p == nil:
		return 2
	case p.OS != "linux":
		return rankUnloadable
	case p.Architecture == "amd64" && p.Variant == "":
		return 0
	}
	return 1
}

// completeImage returns the item for an image manifest that was checked, or nil if it is not an image or is incomplete
// in the bundle.
func (l *manifestLoader) completeImage(data []byte) *loadable {
	var image v1.Manifest
	if json.Unmarshal(data, &image) != nil || !slices.Contains(configTypes, image.Config.MediaType) || !l.included[image.Config.Digest] {
		return nil
	}
	item := &loadable{Config: blobName(image.Config.Digest), Layers: []string{}}
	for _, layer := range image.Layers {
		if !slices.Contains(layerTypes, layer.MediaType) || !l.included[layer.Digest] {
			return nil
		}
		item.Layers = append(item.Layers, blobName(layer.Digest))
	}
	return item
}
