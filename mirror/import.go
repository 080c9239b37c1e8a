package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// ImportStore imports and exports content by digest, regardless of its repository. It may be used concurrently. Changes
// are durable when a method returns.
//
// A blob is imported with [BlobStore.Receive] and a Commit for the zero [Repo]. A repository can read the stored blob
// only after one of its manifests names it.
type ImportStore interface {
	// StatContent returns the size of a stored blob or manifest in bytes. It returns [CodeBlobUnknown] if the content
	// is not stored, or if its file is missing or has another size.
	StatContent(ctx context.Context, d digest.Digest) (size int64, err error)
	// Verify compares a stored blob or manifest with its digest, unless that was done recently. Concurrent calls for
	// the same digest read the content once. Verify returns [CodeBlobUnknown] if the content is not stored. If its file
	// is missing or damaged, the cause of the error is a [DefectError] with Repos.
	Verify(ctx context.Context, d digest.Digest) error
	// OpenContent opens a stored blob or manifest. It returns [CodeBlobUnknown] if the content is not stored.
	OpenContent(ctx context.Context, d digest.Digest) (Blob, error)
	// ResumeBlob is [BlobStore.Receive] for a blob that arrives in parts. Any amount of time may pass between two
	// parts, and the process may restart. A zero part begins a new blob. Otherwise ResumeBlob continues where the part
	// was suspended, and discards bytes that were written after that. Only one caller may continue a part at a time.
	// ResumeBlob returns [CodeBlobUploadUnknown] if the part does not exist any more.
	ResumeBlob(ctx context.Context, d digest.Digest, part PartialBlob) (ResumableBlob, error)
	// ProtectPartial prevents the expiry of a part ([CollectStore.ExpireUpload]) until release is called. release may
	// be called more than once. The protection ends with the process.
	ProtectPartial(id string) (release func())
	// ImportFile stores the file at path as blob d after it has verified the digest ([CodeDigestInvalid]). If the file
	// system supports hard links, it links the file and sets linked; otherwise it copies the file. The path must be a
	// regular file. Writing to a linked file later damages the blob.
	ImportFile(ctx context.Context, d digest.Digest, path string) (linked bool, err error)
	// ImportManifests stores manifests in one transaction, and links the blobs that they need to their repositories.
	// The bytes of the manifests must be stored as blobs already. If a needed blob is not stored, ImportManifests
	// stores none of the manifests and returns [CodeManifestBlobUnknown]. It does not move tags.
	ImportManifests(ctx context.Context, manifests []ImportedManifest) error
	// PointTags points tags at stored manifests, and makes roots, in one transaction. A pushed tag that points elsewhere
	// is not moved but returned in kept, unless overwrite is set.
	PointTags(ctx context.Context, tags []ImportedTag, overwrite bool) (kept []ImportedTag, err error)
}

// ResumableBlob is a [BlobWriter] for a blob that arrives in parts. Abort and a failed Commit discard the bytes that
// were written since [ImportStore.ResumeBlob]. Earlier bytes are kept, unless the complete blob does not match its
// digest ([CodeDigestInvalid]).
type ResumableBlob interface {
	BlobWriter
	// SuspendPartial makes the written bytes durable and closes the writer. The caller records the part to continue it
	// later. A part that is not continued expires like an upload, see [ImportStore.ProtectPartial]. If SuspendPartial
	// fails, it has the effect of Abort.
	SuspendPartial() (PartialBlob, error)
}

// PartialBlob is the state that is needed to continue a suspended blob.
type PartialBlob struct {
	ID        string           `json:"id"`
	Algorithm digest.Algorithm `json:"algorithm"`
	Size      int64            `json:"size"` // bytes that are stored
	Hash      []byte           `json:"hash"` // state of the hash of these bytes; if it cannot be used, they are read again
}

// ImportedManifest is a manifest to store, whose bytes are stored as a blob.
type ImportedManifest struct {
	Repo      Repo
	Digest    digest.Digest
	MediaType string // as for [ParseManifest]
	Origin    Origin // [Imported] or [Pushed]; never [Mirrored]
	// Local makes the repository local, as if a push had created it, unless it exists already. The repository is local
	// at the source, so its content must not be requested from an upstream.
	Local bool
	// With lists content that was imported together with the manifest, and that the manifest names but does not need.
	// Listed content that is stored becomes readable in Repo. Content that the manifest needs becomes readable without
	// being listed; other content that it names does not.
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
	// SkipChildren prevents a manifest from becoming a root if a stored index of the repository names it. Clients
	// request the platforms of an image by digest; the manifests of platforms need no root, since they are deleted with
	// their image.
	SkipChildren bool `json:"loose,omitempty"`
	// Current is the manifest that a kept tag still points at. It is set in the result of [ImportStore.PointTags].
	Current digest.Digest `json:"was,omitempty"`
}
