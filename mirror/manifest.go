package mirror

import (
	"encoding/json"
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
)

// Manifest is a manifest as it came in, to the byte.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Bytes     []byte // never changed after the manifest was made
	Origin    Origin
}

// References is what a manifest points at, and what the referrers API repeats of it.
type References struct {
	// Blobs must be held for the manifest to be complete: config and layers, foreign layers left out.
	Blobs []v1.Descriptor
	// Manifests are the children of an index. An index is valid without some of them: it is sparse.
	Manifests []v1.Descriptor
	// Subject is the manifest that this one says something about; nil for most. It need not be held.
	Subject *v1.Descriptor
	// ArtifactType is the manifest's own or, for an image without one, the media type of its config.
	ArtifactType string
	Annotations  map[string]string
}

// document is the union of the fields of all manifests that are understood.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Blobs         []v1.Descriptor   `json:"blobs"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// ParseManifest reads what a manifest points at. mediaType is what the Content-Type header said; the media type that
// is returned is that one without parameters or, where there was none, what the document itself says or looks like.
//
// Images and indexes of OCI and Docker are checked: a document that contradicts its media type, or has a malformed
// descriptor, is a [CodeManifestInvalid]. Any other media type is kept as it is and points at nothing, but for a
// subject if it has one, so that the manifests of tomorrow can be stored today.
//
// https://github.com/opencontainers/image-spec/blob/main/manifest.md
func ParseManifest(mediaType string, data []byte) (string, References, error) {
	if len(data) > MaxManifestSize {
		return "", References{}, Errorf(CodeManifestTooLarge, "manifest is larger than %d bytes", MaxManifestSize)
	}
	mediaType = bareMediaType(mediaType)
	var doc document
	jsonErr := json.Unmarshal(data, &doc)
	if mediaType == "" {
		mediaType = doc.guessMediaType()
	}
	if mediaType == "" {
		return "", References{}, Errorf(CodeManifestInvalid, "manifest has no media type: send it as Content-Type")
	}
	kind, known := manifestKinds[mediaType]
	if !known {
		return mediaType, doc.opaque(jsonErr), nil
	}
	if jsonErr != nil {
		return "", References{}, &Error{Code: CodeManifestInvalid, Message: "manifest is not valid JSON", Cause: jsonErr}
	}
	if doc.MediaType != "" && doc.MediaType != mediaType {
		return "", References{}, Errorf(CodeManifestInvalid,
			"manifest says that its media type is %s, the request says %s", quote(doc.MediaType), quote(mediaType))
	}
	refs, err := doc.references(kind)
	return mediaType, refs, err
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

// IsIndex reports whether mediaType is that of an OCI index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	kind, known := manifestKinds[mediaType]
	return known && kind == kindIndex
}

func (doc *document) references(kind manifestKind) (References, error) {
	refs := References{Subject: doc.Subject, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	// One document that is an index to one reader and an image to another hides content from whoever checks it:
	// https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
	image, index := doc.Config != nil || len(doc.Layers) > 0, len(doc.Manifests) > 0
	if kind == kindImage && index || kind == kindIndex && image {
		return References{}, Errorf(CodeManifestInvalid, "manifest has the fields of both an image and an index")
	}
	switch kind {
	case kindImage:
		if doc.SchemaVersion != 2 {
			return References{}, Errorf(CodeManifestInvalid, "manifest has schemaVersion %d, want 2", doc.SchemaVersion)
		}
		if doc.Config == nil {
			return References{}, Errorf(CodeManifestInvalid, "image manifest has no config")
		}
		if refs.ArtifactType == "" {
			refs.ArtifactType = doc.Config.MediaType
		}
		refs.Blobs = append(refs.Blobs, *doc.Config)
		for _, layer := range doc.Layers {
			if !foreign(layer.MediaType) {
				refs.Blobs = append(refs.Blobs, layer)
			}
		}
	case kindIndex:
		if doc.SchemaVersion != 2 {
			return References{}, Errorf(CodeManifestInvalid, "index has schemaVersion %d, want 2", doc.SchemaVersion)
		}
		refs.Manifests = doc.Manifests
	case kindArtifactDraft:
		refs.Blobs = doc.Blobs
	}
	return refs, checkDescriptors(doc)
}

// opaque keeps the subject of a manifest whose media type is not understood.
func (doc *document) opaque(jsonErr error) References {
	if jsonErr != nil || doc.Subject == nil || checkDescriptor("subject", *doc.Subject) != nil {
		return References{}
	}
	return References{Subject: doc.Subject, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
}

func (doc *document) guessMediaType() string {
	switch {
	case doc.MediaType != "":
		return bareMediaType(doc.MediaType)
	case doc.SchemaVersion == 2 && doc.Config != nil:
		return v1.MediaTypeImageManifest
	case doc.SchemaVersion == 2 && doc.Manifests != nil:
		return v1.MediaTypeImageIndex
	}
	return ""
}

func checkDescriptors(doc *document) error {
	groups := map[string][]v1.Descriptor{"layer": doc.Layers, "blob": doc.Blobs, "manifest": doc.Manifests}
	if doc.Config != nil {
		groups["config"] = []v1.Descriptor{*doc.Config}
	}
	if doc.Subject != nil {
		groups["subject"] = []v1.Descriptor{*doc.Subject}
	}
	for field, group := range groups {
		for _, desc := range group {
			if err := checkDescriptor(field, desc); err != nil {
				return err
			}
		}
	}
	return nil
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

// foreign layers are fetched from their own URLs by clients; a registry need not hold them:
// https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers
func foreign(mediaType string) bool {
	return strings.HasPrefix(mediaType, mediaTypeDockerForeignLayer) || strings.HasPrefix(mediaType, mediaTypeOCINondistPrefix)
}

// bareMediaType drops parameters, which the specification tells registries to ignore.
func bareMediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.TrimSpace(s)
}
