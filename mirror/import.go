package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// ImportStore imports and exports content by digest, whatever repository it is in. It may be used concurrently. Changes
// are durable when a method returns.
//
// A blob is imported by [BlobStore.Receive] and a Commit for the zero [Repo]. It is stored then, but no repository can
// read it before a manifest there names it.
type ImportStore interface {
	// StatContent returns the size of a stored blob or manifest in bytes. [CodeBlobUnknown] if it is not stored, or if
	// its file is missing or has another size.
	StatContent(ctx context.Context, d digest.Digest) (size int64, err error)
	// Verify compares a stored blob or manifest with its digest, unless that was done recently. Concurrent calls for the
	// same digest read the content once. [CodeBlobUnknown] if it is not stored; the cause is a [DefectError] with Repos
	// if its file is missing or damaged.
	Verify(ctx context.Context, d digest.Digest) error
	// OpenContent opens a stored blob or manifest. [CodeBlobUnknown] if it is not stored.
	OpenContent(ctx context.Context, d digest.Digest) (Blob, error)
	// ResumeBlob is [BlobStore.Receive] for a blob that arrives in parts, with any time and any restart in between. With
	// a zero part it begins a blob. Otherwise it continues where the part was suspended, and discards what was written
	// since. Only one caller may continue a part at a time. [CodeBlobUploadUnknown] if the part does not exist any more.
	ResumeBlob(ctx context.Context, d digest.Digest, part PartialBlob) (ResumableBlob, error)
	// ProtectPartial prevents the expiry of a part ([CollectStore.ExpireUpload]) until release is called; more than one
	// call does no harm. The protection ends with the process.
	ProtectPartial(id string) (release func())
	// ImportFile stores the file at path as blob d after it has verified the digest ([CodeDigestInvalid]). If the file
	// system supports hard links, it links the file (linked), and otherwise it copies it. The path must be a regular
	// file. Writing to a linked file later damages the blob.
	ImportFile(ctx context.Context, d digest.Digest, path string) (linked bool, err error)
	// ImportManifests stores manifests in one transaction, and links the blobs that they need to their repositories. The
	// bytes of the manifests must be stored as blobs already. If a needed blob is not stored, none of the manifests is:
	// [CodeManifestBlobUnknown]. Tags do not move.
	ImportManifests(ctx context.Context, manifests []ImportedManifest) error
	// PointTags points tags at stored manifests, and makes roots, in one transaction. A pushed tag that points elsewhere
	// is not moved but returned in kept, unless overwrite is set.
	PointTags(ctx context.Context, tags []ImportedTag, overwrite bool) (kept []ImportedTag, err error)
}

// ResumableBlob is a [BlobWriter] for a blob that arrives in parts. Abort, and an error of Commit, discard what was
// written since [ImportStore.ResumeBlob]. The part before that is kept, unless the digest of the complete blob is wrong
// ([CodeDigestInvalid]).
type ResumableBlob interface {
	BlobWriter
	// SuspendPartial makes what was written durable and ends the writer. The caller records the part to continue it later.
	// A part that is not continued expires like an upload, see [ImportStore.ProtectPartial]. An error has the effect of
	// Abort.
	SuspendPartial() (PartialBlob, error)
}

// PartialBlob is a suspended blob: what is needed to continue it.
type PartialBlob struct {
	ID        string           `json:"id"`
	Algorithm digest.Algorithm `json:"algorithm"`
	Size      int64            `json:"size"` // bytes that are stored
	Hash      []byte           `json:"hash"` // the state of their hash; if it cannot be used, they are read again
}

// ImportedManifest is a manifest to store, whose bytes are stored as a blob.
type ImportedManifest struct {
	Repo      Repo
	Digest    digest.Digest
	MediaType string // as for [ParseManifest]
	Origin    Origin // [Imported] or [Pushed]; never [Mirrored]
	// Local makes the repository local, as if a push had created it, unless it exists already. It was local where it
	// comes from, so no upstream may be asked for it.
	Local bool
	// With is content that was imported with the manifest, and that the manifest names but does not need. What is stored
	// of it becomes readable in Repo. Content that the manifest needs becomes readable anyway; for other content, naming
	// it is not enough.
	With []digest.Digest
}

// ImportedTag is a tag to point at a manifest. Without a tag it makes the manifest a root. A root is an image that
// somebody named by its digest, as Kubernetes, Helm and CRI do. It is listed and exported, and the collector keeps it
// without a tag. It remains a root until its manifest is deleted. A client that pulls an image by its digest does not
// make it a root.
type ImportedTag struct {
	Repo   Repo          `json:"-"`
	Tag    string        `json:"tag"`
	Digest digest.Digest `json:"digest"`
	Origin Origin        `json:"origin"` // of the tag; empty for a root
	// SkipChildren makes no root of a manifest that a stored index of the repository names. Clients request the
	// platforms of an image by their digests, and those are deleted with the image.
	SkipChildren bool `json:"loose,omitempty"`
	// Current is what a tag that was kept points at, in the result of [ImportStore.PointTags].
	Current digest.Digest `json:"was,omitempty"`
}
