package bundle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// LayoutJSON is the content of oci-layout.
const LayoutJSON = `{"imageLayoutVersion":"1.0.0"}`

// Annotations of manifests in index.json in addition to those of the image specification.
const (
	// AnnotationName is the full reference of an image, as containerd writes it.
	AnnotationName = "io.containerd.image.name"
	// AnnotationRepository is the repository of a referrer.
	AnnotationRepository = "vnd.airmirror.repository"
	// annotationSubject is the subject of a referrer, as containerd writes it. docker load creates no image of a
	// manifest with this annotation.
	annotationSubject = "io.containerd.manifest.subject"
)

// Contents are the parts of a bundle that are not manifests or blobs.
type Contents struct {
	Document *Document // Created, Host and Tool may be changed, because the ID does not depend on them
	Index    []byte    // index.json
	Docker   []byte    // manifest.json; nil if there is no image for docker load
}

// Compose composes a bundle from a document. It sorts doc in place and sets Version, ID and Files; the caller sets all
// other fields. load returns manifests of the bundle.
//
// Compose returns [mirror.CodeBundleInvalid] if the document contradicts itself, or exceeds the default [Limits].
func Compose(doc *Document, load func(d digest.Digest) (mediaType string, data []byte, err error)) (*Contents, error) {
	doc.sort()
	loaded := newManifestLoader(doc, load)
	c := &Contents{Document: doc}
	var err error
	if c.Index, err = loaded.index(); err != nil {
		return nil, err
	}
	if c.Docker, err = loaded.docker(); err != nil {
		return nil, err
	}
	doc.Version = FormatVersion
	doc.Files = map[string]File{LayoutName: fileOf([]byte(LayoutJSON)), IndexName: fileOf(c.Index)}
	if c.Docker != nil {
		doc.Files[DockerName] = fileOf(c.Docker)
	}
	if doc.ID, err = doc.identify(); err != nil {
		return nil, err
	}
	limits := Limits{}.withDefaults()
	if err := doc.check(limits); err != nil {
		return nil, err
	}
	if err := c.checkLimits(limits); err != nil {
		return nil, err
	}
	return c, nil
}

// checkLimits returns an error if a bundle exceeds limits, because no mirror could read it then.
func (c *Contents) checkLimits(limits Limits) error {
	document, err := c.Document.encode()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		data  []byte
		limit int64
	}{{DocumentName, document, limits.Document}, {IndexName, c.Index, limits.Index}, {DockerName, c.Docker, limits.Index}} {
		if int64(len(f.data)) > f.limit || limits.checkCount(f.name, f.data) != nil {
			return invalid("%s would have %d bytes, which exceeds what readers accept: export several bundles", f.name, len(f.data))
		}
	}
	return nil
}

func fileOf(data []byte) File { return File{Digest: digest.FromBytes(data), Size: int64(len(data))} }

// sort sorts the lists of the document.
func (doc *Document) sort() {
	byDigest := func(a, b File) int { return cmp.Compare(a.Digest, b.Digest) }
	slices.SortFunc(doc.Images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Digest, b.Digest))
	})
	for _, image := range doc.Images {
		slices.Sort(image.Platforms)
	}
	slices.SortFunc(doc.Repositories, func(a, b Repository) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(doc.Manifests, func(a, b Manifest) int { return byDigest(a.File, b.File) })
	for _, m := range doc.Manifests {
		slices.Sort(m.Repositories)
	}
	slices.SortFunc(doc.Blobs, byDigest)
	slices.SortFunc(doc.Assumes, func(a, b Assumed) int { return byDigest(a.File, b.File) })
	for _, a := range doc.Assumes {
		slices.Sort(a.Repositories)
	}
	for i := range doc.BuildsOn {
		doc.BuildsOn[i].Created = doc.BuildsOn[i].Created.UTC() // as it is decoded; another zone would change the ID
	}
	doc.Created = doc.Created.UTC()
}

// manifestLoader reads manifests of the bundle, to compose index.json and manifest.json.
type manifestLoader struct {
	doc      *Document
	load     func(d digest.Digest) (mediaType string, data []byte, err error)
	included map[digest.Digest]bool // content of the tar

	manifests map[digest.Digest]bool // manifests of the tar
}

func newManifestLoader(doc *Document, load func(d digest.Digest) (mediaType string, data []byte, err error)) *manifestLoader {
	l := &manifestLoader{doc: doc, load: load, included: make(map[digest.Digest]bool, len(doc.Manifests)+len(doc.Blobs)), manifests: make(map[digest.Digest]bool, len(doc.Manifests))}
	for _, m := range doc.Manifests {
		l.included[m.Digest], l.manifests[m.Digest] = true, true
	}
	for _, b := range doc.Blobs {
		l.included[b.Digest] = true
	}
	return l
}

// index composes index.json.
func (l *manifestLoader) index() ([]byte, error) {
	known := make(map[digest.Digest]v1.Descriptor, len(l.doc.Manifests)+len(l.doc.Assumes))
	for _, a := range l.doc.Assumes {
		known[a.Digest] = v1.Descriptor{MediaType: a.MediaType, Digest: a.Digest, Size: a.Size}
	}
	for _, m := range l.doc.Manifests {
		known[m.Digest] = v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
	}
	children, err := l.children()
	if err != nil {
		return nil, err
	}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, image := range l.doc.Images {
		desc, ok := known[image.Digest]
		if !ok {
			return nil, invalid("the manifest %s of %s is neither in the bundle nor assumed", image.Digest, image.Repository)
		}
		if image.isReferrer() && children[image.Digest] {
			continue // docker load would create an image without name and platform
		}
		desc.Annotations = names(image)
		if image.Subject != "" && l.included[image.Digest] {
			refs, err := l.references(image.Digest)
			if err != nil {
				return nil, err
			}
			desc.ArtifactType = refs.ArtifactType
		}
		index.Manifests = append(index.Manifests, desc)
	}
	return encode(index)
}

// names returns the annotations of an image in index.json.
func names(image Image) map[string]string {
	switch {
	case image.isReferrer():
		// Containerd unpacks images with names, and fails on those that cannot be unpacked, such as signatures of cosign.
		annotations := map[string]string{AnnotationRepository: image.Repository}
		if image.Subject != "" {
			annotations[annotationSubject] = image.Subject.String()
		}
		return annotations
	case image.Tag == "":
		// Containerd imports images with names only. This is the name that it gives to images that were pulled by digest.
		return map[string]string{AnnotationName: image.Repository + "@" + image.Digest.String()}
	}
	// docker save and containerd write the tag alone. Several images can have the same tag, so that a script that works with
	// a bundle of one image would fail with a bundle of several.
	name := image.Repository + ":" + image.Tag
	return map[string]string{AnnotationName: name, v1.AnnotationRefName: name}
}

// children returns the entries of the indexes in the bundle.
func (l *manifestLoader) children() (map[digest.Digest]bool, error) {
	children := make(map[digest.Digest]bool)
	if !slices.ContainsFunc(l.doc.Images, Image.isReferrer) {
		return children, nil // they are needed for referrers only
	}
	for _, m := range l.doc.Manifests {
		if !mirror.IsIndex(m.MediaType) {
			continue
		}
		refs, err := l.references(m.Digest)
		if err != nil {
			return nil, err
		}
		for _, desc := range refs.Manifests {
			children[desc.Digest] = true
		}
	}
	return children, nil
}

// isReferrer reports whether the image was not named in the request and refers to another image in the bundle.
func (i Image) isReferrer() bool {
	return i.Why == WhyReferrer || i.Why == WhyAll && i.Subject != ""
}

// references returns what a manifest of the bundle refers to.
func (l *manifestLoader) references(d digest.Digest) (mirror.References, error) {
	mediaType, data, err := l.load(d)
	if err != nil {
		return mirror.References{}, err
	}
	_, refs, err := mirror.ParseManifest(mediaType, data)
	return refs, err
}

// encode encodes JSON without HTML escapes.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return buf.Bytes(), err
}
