package mirror

import (
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that Docker's tools use beside those of the OCI image specification.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	mediaTypeOCINondistPrefix   = "application/vnd.oci.image.layer.nondistributable."
	mediaTypeOCIArtifactDraft   = "application/vnd.oci.artifact.manifest.v1+json"

	// Of before 2016, without a media type inside: https://distribution.github.io/distribution/spec/deprecated-schema-v1/
	mediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Manifest is a manifest as it came in, to the byte.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Bytes     []byte // never changed after the manifest was made
	Origin    Origin
}

// References is what a manifest points at, and what the referrers API repeats of it. What a manifest needs and what
// belongs to it are two things: a push must bring Blobs, but all of the lists belong to the manifest and are stored, kept
// and copied with it; see [References.Owned].
type References struct {
	// Blobs are required, by a push and for the image to be complete: config and layers other than nondistributable ones.
	Blobs []v1.Descriptor
	// Nondistributable are layers that clients may fetch from a URL in the manifest. A push need not bring them; an image
	// without them is complete only if [Options.IgnoreNondistributable] says so.
	Nondistributable []v1.Descriptor
	// Manifests are the children of an index whose media type is that of a manifest ([LooksLikeManifest]). An index is
	// valid without some of them: it is sparse.
	Manifests []v1.Descriptor
	// Entries are the other children of an index, as those of a BuildKit cache: mostly blobs, but they may be manifests.
	Entries []v1.Descriptor
	// Named is what else the JSON names by a string called digest or blobSum: blobs or manifests. The size is -1 where the
	// JSON does not say it. Nobody promised that the registry where the manifest comes from has them.
	Named []v1.Descriptor
	// Subject is the manifest that this one says something about; nil for most. It need not be held.
	Subject *v1.Descriptor
	// ArtifactType is the manifest's own or, for an image without one, the media type of its config.
	ArtifactType string
	Annotations  map[string]string
}

// ParseManifest reads what a manifest points at. mediaType is what the Content-Type header said; the media type that
// is returned is that one without parameters or, where there was none, what the document itself says or looks like.
//
// Images and indexes of OCI and Docker are checked: a document that contradicts its media type, or has a malformed
// descriptor, is a [CodeManifestInvalid]. Any other media type is kept as it is and needs nothing, so that the
// manifests of tomorrow can be stored today; but what it names by digest belongs to it all the same. It must be a media
// type, and the document must not say that it is of another one, so that no image passes for something that needs nothing.
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
	if !mediaTypePattern.MatchString(mediaType) {
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

// parses are the large manifests that may be parsed at the same time: what that needs is soon free again, but many
// times as large as they are.
var parses = make(chan struct{}, 2)

const LargeManifest = 256 << 10

// parse waits until a manifest of so many bytes may be parsed, and returns what to call after that.
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

// ManifestMediaTypes are the media types that [ParseManifest] understands, for an Accept header.
func ManifestMediaTypes() []string {
	return []string{v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, MediaTypeDockerManifestList, MediaTypeDockerManifest}
}

// KnownManifestType reports whether mediaType is one of a manifest whose references are known.
func KnownManifestType(mediaType string) bool {
	_, known := manifestKinds[mediaType]
	return known
}

// IsIndex reports whether mediaType is that of an OCI index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	kind, known := manifestKinds[mediaType]
	return known && kind == kindIndex
}

// IsSchema1 reports whether mediaType is one of Docker's before 2016, of which the layers are [References.Named].
func IsSchema1(mediaType string) bool {
	return mediaType == mediaTypeDockerSchema1 || mediaType == mediaTypeDockerSchema1Signed
}

// references reads what the document points at, in the order in which that costs the least if it is wrong.
func (doc *document) references(kind manifestKind) (refs References, err error) {
	// One document that is an index to one reader and an image to another hides content from whoever checks it:
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

// index reads the children and tells manifests from other entries.
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

// image reads config and layers.
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

// about reads the subject, and what the referrers API says about the manifest if it has one.
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

// opaque reads the subject and what is named of a manifest whose media type is not understood.
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

// nondistributable reports whether a layer may be fetched from its own URLs by clients, so that a registry need not store
// it. Media types are compared in lower case: in them, case says nothing.
//
// https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers
func nondistributable(mediaType string) bool {
	mediaType = strings.ToLower(mediaType)
	return strings.HasPrefix(mediaType, mediaTypeDockerForeignLayer) || strings.HasPrefix(mediaType, mediaTypeOCINondistPrefix)
}

// mediaTypePattern is the grammar of a media type without parameters: https://www.rfc-editor.org/rfc/rfc6838#section-4.2
var mediaTypePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}$`)

// bareMediaType drops parameters, which the specification tells registries to ignore. Media types that are understood
// come back in lower case: in them, case says nothing.
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
