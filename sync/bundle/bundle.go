// Package bundle reads and writes content on the move: an OCI image layout in a tar, made and read in one streaming pass.
//
// # The format
//
// The entries of the tar, in this order:
//
//	oci-layout              as the image layout has it
//	index.json              an OCI index of everything that has a name, or refers to something: see below
//	bundle.json             what is in it, why, from whom and what it builds on: a [Document]
//	bundle.json.minisig     its signature in minisign's format; only if it was signed
//	manifest.json           for docker load: what is whole here, for Linux; left out if that is nothing
//	blobs/sha256/…          manifests first, in the order of [Document.Manifests]
//	blobs/sha256/…          then all other blobs, in the order of [Document.Blobs]
//
// Nothing comes twice, and nothing else comes. bundle.json lists the digest and size of every other entry but its own
// signature, so that a signature of bundle.json covers all of them, and everything is refused that it does not list.
// Headers have no owner, mode 0644 and the time 0, and the same content is in the same order, so that it makes the same
// bytes, but for bundle.json and its signature. They are in the ustar form, or in GNU's where that has no room, and so
// take 512 bytes each (1536 for a sha512 digest): bundle.json and its signature say at which byte everything is, which
// is how reading goes on in the next volume ([Continue]). No other headers are taken for those of a bundle.
//
// In index.json, and only there, a manifest has the annotations io.containerd.image.name and
// org.opencontainers.image.ref.name, both of them its full reference, be there one image or many. An image without a tag
// has the first one only, as host/path@digest. What refers to another image, or came along with it, as a signature does,
// has neither, but [AnnotationRepository] and io.containerd.manifest.subject: containerd would unpack it, and docker load
// make an image of it. It is not listed if an index of the bundle has it. A manifest with several names is listed once for
// each.
//
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md
//
// # What else is read
//
// [Open] reads any OCI image layout, in a tar or a folder, and what docker save wrote, old and new, each as it is or
// compressed by gzip, zstd, xz or bzip2. It may be in a folder of the archive, and come twice; what an operating system left
// beside it is passed over ([Ignored]). What is read is hostile until proven: names, types, sizes and counts of entries
// are checked before they are believed, and no more is kept in memory than [Limits] say.
package bundle

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// The names of entries.
const (
	LayoutName    = "oci-layout"
	IndexName     = "index.json"
	DocumentName  = "bundle.json"
	SignatureName = DocumentName + ".minisig"
	DockerName    = "manifest.json"
)

// FormatVersion is the version of [Document] that this program writes; it reads no later one.
const FormatVersion = 1

// Document is bundle.json: what a bundle says about itself.
type Document struct {
	Version int `json:"version"` // FormatVersion
	// ID names the bundle: the sha256 of everything else here but Host, Created and Tool, in hex, so that the same
	// content, sent again to the same place with the same sequence, is the same bundle. It is checked.
	ID string `json:"id"`
	// Source is the mirror that made the bundle: a random name that it gave itself; Host is where it ran, for people.
	Source string `json:"source"`
	Host   string `json:"host,omitempty"`
	// Destination is whom it was made for, "" if that was not said. Sequence counts the different bundles of Source for
	// Destination, from 1.
	Destination string    `json:"destination,omitempty"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Tool        string    `json:"tool,omitempty"` // the program and its version
	// Files are oci-layout, index.json and manifest.json, by name.
	Files map[string]File `json:"files"`
	// Images is everything that was asked for and what came along, in the order of their references.
	Images []Image `json:"images"`
	// Repositories say what Images and Manifests cannot: one for each repository of them, in order.
	Repositories []Repository `json:"repositories"`
	// Manifests and Blobs are what is in the tar.
	Manifests []Manifest `json:"manifests,omitempty"`
	Blobs     []File     `json:"blobs,omitempty"`
	// Assumes are manifests and blobs that images here need and that are not here, because the other side is said to
	// hold them; BuildsOn are the bundles that had them, the latest last, as far as that is known.
	Assumes  []Assumed `json:"assumes,omitempty"`
	BuildsOn []Origin  `json:"buildsOn,omitempty"`
}

// File is an entry of the tar.
type File struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"` // in bytes
}

// Image is a reference that a bundle carries.
type Image struct {
	Repository string        `json:"repository"`    // host/path
	Tag        string        `json:"tag,omitempty"` // "" if it has none, or came by its digest
	Digest     digest.Digest `json:"digest"`
	Origin     string        `json:"origin"`              // of the tag where it comes from: pushed, mirrored or imported
	Platforms  []string      `json:"platforms,omitempty"` // those of an index that are here, as os/arch[/variant]
	Sparse     bool          `json:"sparse,omitempty"`    // it is an index, or has one, of which some entries are not here
	Size       int64         `json:"size"`                // of everything it needs, in bytes, what it shares included
	New        int64         `json:"new"`                 // of that, bytes that are here
	Why        string        `json:"why"`                 // one of the reasons below
	Subject    digest.Digest `json:"subject,omitempty"`   // what it refers to
}

// Why an image is in a bundle.
const (
	WhyNamed    = "named"
	WhyAll      = "all"
	WhyWanted   = "wanted"
	WhyReferrer = "referrer" // it refers to another image here
)

// Repository is one that images here are in.
type Repository struct {
	Name  string `json:"name"`            // host/path
	Local bool   `json:"local,omitempty"` // it was created by a push: no upstream is to be asked for it
}

// Manifest is a manifest in the tar, or one that is assumed, with the repositories that it belongs to.
type Manifest struct {
	File
	MediaType    string   `json:"mediaType"`
	Repositories []string `json:"repositories"`
}

// Assumed is something that the other side is said to hold.
type Assumed struct {
	File
	// MediaType and Repositories are those of a manifest; a blob has none.
	MediaType    string   `json:"mediaType,omitempty"`
	Repositories []string `json:"repositories,omitempty"`
	Bundle       string   `json:"bundle,omitempty"` // the ID of the bundle that had it, if that is known
}

// Origin names an earlier bundle.
type Origin struct {
	ID       string    `json:"id"`
	Sequence int64     `json:"sequence"`
	Created  time.Time `json:"created"`
}
