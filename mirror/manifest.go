package mirror

import (
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker's tools. Those of the OCI image specification are in package v1.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	mediaTypeOCINondistPrefix   = "application/vnd.oci.image.layer.nondistributable."
	mediaTypeOCIArtifactDraft   = "application/vnd.oci.artifact.manifest.v1+json"

	// Schema 1, from before 2016, which has no field for the media type: https://distribution.github.io/distribution/spec/deprecated-schema-v1/
	mediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Manifest is a manifest, byte for byte as it was received.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Bytes     []byte // must not be changed
	Origin    Origin
}

// References are what a manifest names, and what the referrers API returns of it. A push must bring the Blobs. All of
// the lists belong to the manifest and are stored, collected and copied with it, see [References.Owned].
type References struct {
	// Blobs are required by a push, and for the image to be complete: the config and the layers except nondistributable
	// ones.
	Blobs []v1.Descriptor
	// Nondistributable are layers that clients may fetch from a URL in the manifest. A push need not bring them. Whether
	// an image without them is complete is configured.
	Nondistributable []v1.Descriptor
	// Manifests are the entries of an index that have the media type of a manifest ([LooksLikeManifest]). An index may
	// lack some of them; it is sparse then.
	Manifests []v1.Descriptor
	// Entries are the other entries of an index, such as those of a BuildKit cache: mostly blobs, but they may be
	// manifests.
	Entries []v1.Descriptor
	// Named is what else the JSON names by a string called digest or blobSum: blobs or manifests. The size is -1 if the
	// JSON does not state it. The registry that the manifest comes from need not have them.
	Named []v1.Descriptor
	// Subject is the manifest that this one refers to; nil for most. It need not be stored.
	Subject *v1.Descriptor
	// ArtifactType is that of the manifest or, for an image without one, the media type of its config.
	ArtifactType string
	Annotations  map[string]string
}

// ParseManifest parses a manifest. mediaType is the Content-Type of the request or response. The returned media type is
// mediaType without parameters. If mediaType is empty, it is the type that the document states, or otherwise the type
// that the document has the structure of.
//
// Images and indexes of OCI and Docker are checked: if a document contradicts its media type, or has a malformed
// descriptor, the error is a [CodeManifestInvalid]. A manifest with any other media type needs no content, so that
// manifests of future types can be stored, but the content that it names by digest belongs to it. It must not state
// another media type in the document, so that no image passes for a manifest that needs nothing.
//
// https://github.com/opencontainers/image-spec/blob/main/manifest.md
func ParseManifest(mediaType string, data []byte) (string, References, error) {
	if len(data) > MaxManifestSize {
		return "", References{}, Errorf(CodeManifestTooLarge, "manifest is larger than %d bytes", MaxManifestSize)
	}
	defer parse(len(data))()
	doc, docErr := readDocument(data)
	mediaType = bareMediaType(mediaType)
	if mediaType == "" {
		mediaType = doc.guessMediaType()
	}
	if mediaType == "" {
		return "", References{}, Errorf(CodeManifestInvalid, "manifest has no media type: send it as Content-Type")
	}
	if !validMediaType(mediaType) {
		return "", References{}, Errorf(CodeManifestInvalid, "%s is not a media type", quote(mediaType))
	}
	if inside := bareMediaType(doc.mediaType); inside != "" && !strings.EqualFold(inside, mediaType) {
		return "", References{}, Errorf(CodeManifestInvalid,
			"manifest says that its media type is %s, the request says %s", quote(inside), quote(mediaType))
	}
	kind, known := manifestKinds[mediaType]
	if !known {
		refs, err := doc.opaque()
		return mediaType, refs, err
	}
	if docErr != nil {
		return "", References{}, docErr
	}
	refs, err := doc.references(kind)
	return mediaType, refs, err
}

// parses limits how many large manifests are parsed at a time. Parsing takes many times the memory of the manifest, but
// only for a short time.
var parses = make(chan struct{}, 2)

// LargeManifest is the size in bytes above which a manifest is large: how many such manifests are in memory is limited.
const LargeManifest = 256 << 10

// parse waits until a manifest of size bytes may be parsed. The caller calls done afterwards.
func parse(size int) (done func()) {
	if size <= LargeManifest {
		return func() {}
	}
	parses <- struct{}{}
	return func() { <-parses }
}

type manifestKind int

const (
	kindImage manifestKind = iota
	kindIndex
	kindArtifactDraft
)

var manifestKinds = map[string]manifestKind{
	v1.MediaTypeImageManifest:   kindImage,
	v1.MediaTypeImageIndex:      kindIndex,
	MediaTypeDockerManifest:     kindImage,
	MediaTypeDockerManifestList: kindIndex,
	mediaTypeOCIArtifactDraft:   kindArtifactDraft,
}

// ManifestMediaTypes returns the media types that [ParseManifest] understands, for an Accept header.
func ManifestMediaTypes() []string {
	return []string{v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, MediaTypeDockerManifestList, MediaTypeDockerManifest}
}

// KnownManifestType reports whether [ParseManifest] understands manifests of mediaType.
func KnownManifestType(mediaType string) bool {
	_, known := manifestKinds[mediaType]
	return known
}

// IsIndex reports whether mediaType is that of an OCI index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	kind, known := manifestKinds[mediaType]
	return known && kind == kindIndex
}

// IsSchema1 reports whether mediaType is that of a Docker schema 1 manifest, whose layers are [References.Named].
func IsSchema1(mediaType string) bool {
	return mediaType == mediaTypeDockerSchema1 || mediaType == mediaTypeDockerSchema1Signed
}

// references parses what the document names. Checks that take little time come first.
func (doc *document) references(kind manifestKind) (refs References, err error) {
	// A document that one client reads as an index and another as an image hides content from scanners:
	// https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
	image, index := doc.config != nil || !empty(doc.layers), !empty(doc.manifests)
	if kind == kindImage && index || kind == kindIndex && image {
		return refs, Errorf(CodeManifestInvalid, "manifest has the fields of both an image and an index")
	}
	if kind != kindArtifactDraft && doc.schemaVersion != 2 {
		return refs, Errorf(CodeManifestInvalid, "manifest has schemaVersion %d, want 2", doc.schemaVersion)
	}
	var r reading
	if err := doc.about(&r, &refs); err != nil {
		return References{}, err
	}
	switch kind {
	case kindImage:
		err = doc.image(&r, &refs)
	case kindIndex:
		err = doc.index(&r, &refs)
	case kindArtifactDraft:
		refs.Blobs, err = r.list("blob", doc.blobs, false)
	}
	if err == nil {
		err = doc.named(&r, &refs)
	}
	if err != nil {
		return References{}, err
	}
	return refs, nil
}

// index parses the entries of an index and separates manifests from others.
func (doc *document) index(r *reading, refs *References) error {
	children, err := r.list("manifest", doc.manifests, true)
	refs.Manifests = children
	if !slices.ContainsFunc(children, isEntry) {
		return err
	}
	refs.Manifests = nil
	for _, child := range children {
		if isEntry(child) {
			refs.Entries = append(refs.Entries, child)
		} else {
			refs.Manifests = append(refs.Manifests, child)
		}
	}
	return err
}

func isEntry(child v1.Descriptor) bool { return !LooksLikeManifest(child.MediaType) }

// image parses the config and the layers.
func (doc *document) image(r *reading, refs *References) error {
	if doc.config == nil {
		return Errorf(CodeManifestInvalid, "image manifest has no config")
	}
	config, err := r.descriptor("config", doc.config, false)
	if err != nil {
		return err
	}
	if refs.ArtifactType == "" {
		refs.ArtifactType = config.MediaType
	}
	layers, err := r.list("layer", doc.layers, false)
	refs.Blobs = append(make([]v1.Descriptor, 0, 1+len(layers)), config)
	for _, layer := range layers {
		if nondistributable(layer.MediaType) {
			refs.Nondistributable = append(refs.Nondistributable, layer)
		} else {
			refs.Blobs = append(refs.Blobs, layer)
		}
	}
	return err
}

// about parses the subject and what the referrers API returns.
func (doc *document) about(r *reading, refs *References) error {
	refs.ArtifactType = doc.artifactType
	if doc.subject != nil {
		subject, err := r.descriptor("subject", doc.subject, false)
		if err != nil {
			return err
		}
		refs.Subject = &subject
	}
	texts, err := r.texts(doc.annotations)
	refs.Annotations = texts
	return err
}

// opaque parses a manifest of another media type: its subject, and what it names by digest.
func (doc *document) opaque() (refs References, err error) {
	var r reading
	if doc.subject == nil || doc.about(&r, &refs) != nil {
		refs = References{}
	}
	if doc.data == nil {
		return refs, nil
	}
	if err := doc.allNamed(&r, &refs); err != nil {
		return References{}, err
	}
	return refs, nil
}

func (doc *document) guessMediaType() string {
	switch {
	case doc.mediaType != "":
		return bareMediaType(doc.mediaType)
	case doc.schemaVersion == 2 && doc.config != nil:
		return v1.MediaTypeImageManifest
	case doc.schemaVersion == 2 && doc.manifests != nil:
		return v1.MediaTypeImageIndex
	case doc.schemaVersion == 1 && doc.fsLayers != nil && !empty(doc.signatures):
		return mediaTypeDockerSchema1Signed
	case doc.schemaVersion == 1 && doc.fsLayers != nil:
		return mediaTypeDockerSchema1
	}
	return ""
}

func checkDescriptor(field string, desc v1.Descriptor) error {
	if _, err := ParseDigest(desc.Digest.String()); err != nil {
		return &Error{Code: CodeManifestInvalid, Message: "manifest has a " + field + " with an invalid digest", Cause: err}
	}
	if desc.Size < 0 {
		return Errorf(CodeManifestInvalid, "manifest has a %s with a negative size", field)
	}
	return nil
}

// nondistributable reports whether clients may fetch a layer from its own URLs, so that a registry need not store it.
// Media types are case-insensitive.
//
// https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers
func nondistributable(mediaType string) bool {
	mediaType = strings.ToLower(mediaType)
	return strings.HasPrefix(mediaType, mediaTypeDockerForeignLayer) || strings.HasPrefix(mediaType, mediaTypeOCINondistPrefix)
}

// mediaTypePattern is the grammar of a media type without parameters, except for the lengths: a pattern that counts takes
// 300 kB, and a part of the time of every start.
var mediaTypePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*$`)

// validMediaType implements https://www.rfc-editor.org/rfc/rfc6838#section-4.2
func validMediaType(s string) bool {
	name, subtype, _ := strings.Cut(s, "/")
	return len(name) <= 127 && len(subtype) <= 127 && mediaTypePattern.MatchString(s)
}

// bareMediaType removes parameters, which registries ignore by the specification. It returns known media types in lower
// case.
func bareMediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	s = strings.TrimSpace(s)
	for known := range manifestKinds {
		if strings.EqualFold(known, s) {
			return known
		}
	}
	return s
}
