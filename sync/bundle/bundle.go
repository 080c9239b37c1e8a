// Package bundle reads and writes bundles and other archives of images. A bundle is an OCI image layout in a tar that is
// written and read in one pass.
//
// # Format
//
// A bundle has the following entries in this order:
//
//	oci-layout              as in the image layout specification
//	index.json              an OCI index of all manifests with a name and all referrers, see below
//	bundle.json             the [Document]: content, reasons, source and base of the bundle
//	bundle.json.minisig     the signature of bundle.json in minisign's format, if there is one
//	manifest.json           for docker load: the complete images for Linux, if there are any
//	blobs/sha256/…          manifests, in the order of [Document.Manifests]
//	blobs/sha256/…          other blobs, in the order of [Document.Blobs]
//
// No entry occurs twice, and there are no other entries. bundle.json lists the digest and size of every entry except its
// own and that of the signature. A signature of bundle.json therefore covers the whole bundle, and entries that it does not
// list are rejected.
//
// Headers have no owner, mode 0644 and time 0. The same content is written in the same order. Two bundles of the same
// content therefore differ in bundle.json and its signature only. Headers have the ustar format, or the GNU format where
// ustar has no room. They take 512 bytes, or 1536 bytes for a sha512 digest. The offset of every entry thus follows from
// bundle.json and its signature, so that [Continue] can read on in the next volume. Other headers are rejected in a bundle.
//
// The annotations io.containerd.image.name and org.opencontainers.image.ref.name of a manifest in index.json are both its
// full reference, whether the bundle has one image or many. An image without a tag has the first annotation only, with the
// value host/path@digest. A referrer, such as a signature, has neither, but [AnnotationRepository] and
// io.containerd.manifest.subject: with a name, containerd would unpack it and docker load would create an image. It is not
// listed if an index of the bundle contains it. A manifest with several names is listed once for each name.
//
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md
//
// # Other archives
//
// [Open] also reads OCI image layouts and archives of docker save, old and new, uncompressed or compressed with gzip, zstd,
// xz or bzip2. [OpenFolder] reads image layouts in folders. The content may be in a folder of the archive and may occur
// twice. Files that operating systems leave behind are ignored, see [Ignored]. All input is untrusted: names, types, sizes
// and the number of entries are checked, and [Limits] bound the memory.
package bundle

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Names of entries.
const (
	LayoutName    = "oci-layout"
	IndexName     = "index.json"
	DocumentName  = "bundle.json"
	SignatureName = DocumentName + ".minisig"
	DockerName    = "manifest.json"
)

// FormatVersion is the version of [Document] that this package writes. It reads no later version.
const FormatVersion = 1

// Document is the content of bundle.json.
type Document struct {
	Version int `json:"version"` // FormatVersion
	// ID identifies the bundle. It is the SHA-256, in hex, of all other fields except Host, Created and Tool. The same
	// content with the same destination and sequence has the same ID. Open verifies it.
	ID string `json:"id"`
	// Source is the identity of the mirror that made the bundle, a random name. Host is the name of its machine, for
	// people.
	Source string `json:"source"`
	Host   string `json:"host,omitempty"`
	// Destination is the name of the destination, or empty. Sequence numbers the different bundles of Source for
	// Destination, from 1.
	Destination string    `json:"destination,omitempty"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Tool        string    `json:"tool,omitempty"` // the program and its version
	// Files are oci-layout, index.json and manifest.json, by name.
	Files map[string]File `json:"files"`
	// Images are the requested images and their referrers, sorted by reference.
	Images []Image `json:"images"`
	// Repositories are the repositories of Images and Manifests, sorted by name.
	Repositories []Repository `json:"repositories"`
	// Manifests and Blobs are the content of the tar.
	Manifests []Manifest `json:"manifests,omitempty"`
	Blobs     []File     `json:"blobs,omitempty"`
	// Assumes are manifests and blobs that the images need and that the destination is assumed to have. BuildsOn are
	// the bundles that contained them, if they are known, the latest one last.
	Assumes  []Assumed `json:"assumes,omitempty"`
	BuildsOn []Origin  `json:"buildsOn,omitempty"`
}

// File is an entry of the tar.
type File struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // in bytes
}

// Image is a reference in a bundle.
type Image struct {
	Repository string        `json:"repository"`    // host/path
	Tag        string        `json:"tag,omitempty"` // empty if the image has none, or is exported by its digest
	Digest     digest.Digest `json:"digest"`
	Origin     string        `json:"origin"`              // origin of the tag at the source: pushed, mirrored or imported
	Platforms  []string      `json:"platforms,omitempty"` // exported platforms of an index, as os/arch[/variant]
	Sparse     bool          `json:"sparse,omitempty"`    // an index of the image has entries that are not exported
	Size       int64         `json:"size"`                // bytes of everything that the image needs, including shared content
	New        int64         `json:"new"`                 // those of these bytes that are in the bundle
	Why        string        `json:"why"`                 // one of the Why constants
	Subject    digest.Digest `json:"subject,omitempty"`   // the manifest that it refers to
}

// Reasons why an image is in a bundle.
const (
	WhyNamed    = "named"
	WhyAll      = "all"
	WhyWanted   = "wanted"
	WhyReferrer = "referrer" // the image refers to another one in the bundle
)

// Repository is a repository of images in a bundle.
type Repository struct {
	Name  string `json:"name"`            // host/path
	Local bool   `json:"local,omitempty"` // created by a push; not to be requested from an upstream
}

// Manifest is a manifest in the tar with its repositories.
type Manifest struct {
	File
	MediaType    string   `json:"mediaType"`
	Repositories []string `json:"repositories"`
}

// Assumed is content that the destination is assumed to have.
type Assumed struct {
	File
	// MediaType and Repositories are those of a manifest. They are empty for a blob.
	MediaType    string   `json:"mediaType,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	Bundle       string   `json:"bundle,omitempty"` // ID of the bundle that contained it, if it is known
}

// Origin identifies an earlier bundle.
type Origin struct {
	ID       string    `json:"id"`
	Sequence int64     `json:"sequence"`
	Created  time.Time `json:"created"`
}
