package bundle

import (
	"encoding/json"
	"errors"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// roots returns the manifests that index.json lists, and images that only manifest.json has.
func (f *contents) roots() ([]Root, error) {
	if f.conflict != nil {
		return nil, f.conflict
	}
	var roots []Root
	covered := map[digest.Digest]bool{}
	if f.index != nil {
		for _, desc := range f.index.Manifests {
			roots = append(roots, rootOf(desc))
		}
		if f.keptFull {
			return roots, nil // too large to compare with manifest.json; tools that write such archives write a correct index.json
		}
		covered = f.covered()
	}
	images := f.images(roots)
	for _, item := range f.docker {
		config, layers, err := f.layersOf(item)
		if err != nil && f.index != nil {
			continue // the item is for readers that do not support index.json
		}
		if err != nil {
			return nil, err
		}
		if covered[config.digest] {
			for _, i := range images[config.digest] {
				err = errors.Join(err, f.reconcile(&roots[i], item, config, layers))
			}
		} else {
			var made Root
			made, err = f.makeManifest(item, config, layers)
			roots = append(roots, made)
		}
		if err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// kindAnnotation is the annotation by which cosign save and hauler distinguish images from their referrers. Its value
// is, for example, dev.cosignproject.cosign/sigs.
//
// https://github.com/sigstore/cosign/blob/main/pkg/oci/layout/write.go
const kindAnnotation = "kind"

// cosignSuffix returns the suffix of the tag for a kind, or an empty string for an image.
func cosignSuffix(kind string) string {
	switch path.Base(kind) {
	case "sigs":
		return ".sig"
	case "atts":
		return ".att"
	case "sboms":
		return ".sbom"
	}
	return ""
}

// rootOf returns the root for a descriptor in index.json.
func rootOf(desc v1.Descriptor) Root {
	root := Root{Descriptor: desc, CosignSuffix: cosignSuffix(desc.Annotations[kindAnnotation])}
	ref := desc.Annotations[v1.AnnotationRefName]
	switch name := desc.Annotations[AnnotationName]; {
	case name != "":
		root.Names = []string{name}
	case mirror.ValidTag(slashIfEmpty(ref)):
		root.Tag = ref
	case ref != "":
		root.Names = []string{ref}
	}
	return root
}

// slashIfEmpty returns "/", which is not a valid tag, for an empty string.
func slashIfEmpty(s string) string {
	if s == "" {
		return "/"
	}
	return s
}

// covered returns the configs of the images that index.json refers to, if their manifests were kept.
func (f *contents) covered() map[digest.Digest]bool {
	covered, seen := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	queue := slices.Clone(f.index.Manifests)
	for ; len(queue) > 0; queue = queue[1:] {
		d := queue[0].Digest
		data, ok := f.keptJSON[d]
		if !ok || seen[d] {
			continue
		}
		seen[d] = true
		_, refs, err := mirror.ParseManifest("", data)
		if err != nil {
			continue // the caller rejects it when it stores it
		}
		queue = append(queue, refs.Manifests...)
		if len(refs.Blobs) > 0 {
			covered[refs.Blobs[0].Digest] = true
		}
	}
	return covered
}

// images returns the indexes of the roots of each image, by the digest of its config. An image has one root for each of
// its names.
func (f *contents) images(roots []Root) map[digest.Digest][]int {
	configs := map[digest.Digest]digest.Digest{} // by manifest
	images := map[digest.Digest][]int{}
	for i, root := range roots {
		d := root.Descriptor.Digest
		config, ok := configs[d]
		if !ok {
			var image struct{ Config v1.Descriptor }
			if data, kept := f.keptJSON[d]; kept && json.Unmarshal(data, &image) == nil {
				config = image.Config.Digest
			}
			configs[d] = config
		}
		images[config] = append(images[config], i)
	}
	return images
}

// reconcile completes root, an image in index.json, with the data of item, the same image in manifest.json. It adds
// missing names. It replaces the manifest if the layers differ: Docker 25.0 wrote manifests without layers, or with
// layers in the wrong order, while manifest.json was right.
func (f *contents) reconcile(root *Root, item loadable, config file, layers []file) error {
	if root.Descriptor.Annotations[AnnotationName] == "" && len(item.RepoTags) > 0 {
		root.Names, root.Tag = item.RepoTags, ""
	}
	data, ok := f.keptJSON[root.Descriptor.Digest]
	if !ok {
		return nil // it was replaced before
	}
	var image v1.Manifest
	if err := f.addWork(data); err != nil || json.Unmarshal(data, &image) != nil {
		return err
	}
	if slices.EqualFunc(image.Layers, layers, func(a v1.Descriptor, b file) bool { return a.Digest == b.digest }) {
		return nil
	}
	made, err := f.makeManifest(item, config, layers)
	if err == nil {
		root.Data, root.Descriptor = made.Data, made.Descriptor
	}
	return err
}

// addWork limits the amount of JSON that is parsed: a small manifest.json could refer to the same large file many
// times.
func (f *contents) addWork(data []byte) error {
	if f.workBytes += int64(len(data)); f.workBytes > 4*f.limits.Kept {
		return invalid("%s refers to too much JSON", DockerName)
	}
	return nil
}

// layersOf returns the files that item names.
func (f *contents) layersOf(item loadable) (config file, layers []file, err error) {
	config, err = f.find(item.Config)
	for _, name := range item.Layers {
		if err != nil {
			break
		}
		var layer file
		layer, err = f.find(name)
		layers = append(layers, layer)
	}
	return config, layers, err
}

// makeManifest generates the manifest of an image that has none.
func (f *contents) makeManifest(item loadable, config file, layers []file) (Root, error) {
	var info struct {
		v1.Platform
		RootFS v1.RootFS `json:"rootfs"`
	}
	data, ok := f.keptJSON[config.digest]
	if !ok {
		return Root{}, invalid("%s is not an image config, or the archive has too many images and must be imported in parts", short(item.Config))
	}
	if err := errors.Join(f.addWork(data), f.limits.decode(item.Config, data, &info)); err != nil {
		return Root{}, err
	}
	if len(layers) != len(info.RootFS.DiffIDs) {
		return Root{}, invalid("the image with config %s has %d layers, and its config %d", config.digest, len(layers), len(info.RootFS.DiffIDs))
	}
	image := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.digest, Size: config.size}}
	for i, layer := range layers {
		want := info.RootFS.DiffIDs[i]
		if layer.compression == "" && want.Algorithm() == layer.digest.Algorithm() && want != layer.digest {
			return Root{}, invalid("%s is not the layer %s of the image: it is damaged", short(item.Layers[i]), short(want.String()))
		}
		image.Layers = append(image.Layers, v1.Descriptor{MediaType: layerMediaType(layer.compression), Digest: layer.digest, Size: layer.size})
	}
	manifest, err := json.Marshal(image)
	if err = errors.Join(err, f.addWork(manifest)); err != nil {
		return Root{}, err
	}
	desc := v1.Descriptor{MediaType: image.MediaType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	if info.OS != "" {
		desc.Platform = &info.Platform
	}
	return Root{Names: item.RepoTags, Descriptor: desc, Data: manifest}, nil
}

func layerMediaType(packed string) string {
	switch packed {
	case "gzip":
		return v1.MediaTypeImageLayerGzip
	case "zstd":
		return v1.MediaTypeImageLayerZstd
	}
	return v1.MediaTypeImageLayer
}
