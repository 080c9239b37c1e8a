package bundle

import (
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// roots returns what index.json lists, and what only manifest.json has.
func (f *found) roots() ([]Root, error) {
	var roots []Root
	covered := map[digest.Digest]bool{} // configs of images that index.json leads to
	if f.index != nil {
		for _, desc := range f.index.Manifests {
			roots = append(roots, rootOf(desc))
			f.cover(desc.Digest, covered)
		}
		if f.full {
			return roots, nil // who writes so much knows how to write index.json
		}
	}
	for _, item := range f.docker {
		config, layers, err := f.blobs(item)
		if err != nil && f.index != nil {
			continue // it was written for those who cannot read index.json
		}
		if err != nil {
			return nil, err
		}
		if covered[config.digest] {
			err = f.reconcile(roots, item, config, layers)
		} else {
			var made Root
			made, err = f.make(item, config, layers)
			roots = append(roots, made)
		}
		if err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// rootOf reads the names of a manifest.
func rootOf(desc v1.Descriptor) Root {
	root := Root{Descriptor: desc}
	ref := desc.Annotations[v1.AnnotationRefName]
	switch name := desc.Annotations[AnnotationName]; {
	case name != "":
		root.Names = []string{name}
	case mirror.ValidTag(orNone(ref)):
		root.Tag = ref
	case ref != "":
		root.Names = []string{ref}
	}
	return root
}

// orNone returns what is no tag for nothing.
func orNone(s string) string {
	if s == "" {
		return "/"
	}
	return s
}

// cover notes the configs of the images that manifest d leads to, as far as they were kept.
func (f *found) cover(d digest.Digest, covered map[digest.Digest]bool) {
	seen := map[digest.Digest]bool{}
	for queue := []digest.Digest{d}; len(queue) > 0; queue = queue[1:] {
		data, ok := f.kept[queue[0]]
		if !ok || seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		_, refs, err := mirror.ParseManifest("", data)
		if err != nil {
			continue // for who stores it to refuse
		}
		for _, child := range refs.Manifests {
			queue = append(queue, child.Digest)
		}
		if len(refs.Blobs) > 0 {
			covered[refs.Blobs[0].Digest] = true
		}
	}
}

// reconcile gives the root that is the image of item the names that item has and it has not. Its manifest is replaced if
// it has other layers: Docker 25.0 wrote archives whose index.json leads to manifests without layers, or with layers in
// the wrong order, while manifest.json was right.
func (f *found) reconcile(roots []Root, item loadable, config file, layers []file) error {
	for i := range roots {
		root := &roots[i]
		data := f.kept[root.Descriptor.Digest]
		var image v1.Manifest
		if root.Data != nil || data == nil || json.Unmarshal(data, &image) != nil || image.Config.Digest != config.digest {
			continue
		}
		if root.Descriptor.Annotations[AnnotationName] == "" && len(item.RepoTags) > 0 {
			root.Names, root.Tag = item.RepoTags, ""
		}
		if slices.EqualFunc(image.Layers, layers, func(a v1.Descriptor, b file) bool { return a.Digest == b.digest }) {
			continue
		}
		made, err := f.make(item, config, layers)
		if err != nil {
			return err
		}
		root.Data, root.Descriptor = made.Data, made.Descriptor
	}
	return nil
}

// blobs returns the files that item names.
func (f *found) blobs(item loadable) (config file, layers []file, err error) {
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

// make makes the manifest of an image that has none.
func (f *found) make(item loadable, config file, layers []file) (Root, error) {
	var about struct {
		v1.Platform
		RootFS v1.RootFS `json:"rootfs"`
	}
	data, ok := f.kept[config.digest]
	if !ok {
		return Root{}, invalid("%s is no image config, or the archive has so many images that it must be imported in parts", short(item.Config))
	}
	if err := f.limits.decode(item.Config, data, &about); err != nil {
		return Root{}, err
	}
	if len(layers) != len(about.RootFS.DiffIDs) {
		return Root{}, invalid("the image with config %s has %d layers, and its config %d", config.digest, len(layers), len(about.RootFS.DiffIDs))
	}
	image := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.digest, Size: config.size}}
	for i, layer := range layers {
		want := about.RootFS.DiffIDs[i]
		if layer.packed == "" && want.Algorithm() == layer.digest.Algorithm() && want != layer.digest {
			return Root{}, invalid("%s is not the layer %s that the image has: it is damaged", short(item.Layers[i]), short(want.String()))
		}
		image.Layers = append(image.Layers, v1.Descriptor{MediaType: layerMediaType(layer.packed), Digest: layer.digest, Size: layer.size})
	}
	manifest, err := json.Marshal(image)
	if err != nil {
		return Root{}, err
	}
	desc := v1.Descriptor{MediaType: image.MediaType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest))}
	if about.OS != "" {
		desc.Platform = &about.Platform
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
