package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// ImportStore takes in what is carried here, and gives out what is to be carried away: by digest, whatever repository it
// is in. All of it may be used concurrently, and is durable when a method returns.
//
// A blob comes by [BlobStore.Receive] and a Commit for the zero [Repo]: it is held then, but no repository may read it
// before a manifest there points at it.
type ImportStore interface {
	// Stored returns the size of a blob or manifest that is held, in bytes. [CodeBlobUnknown] where it is not; a file that
	// is missing or has another size is not held.
	StatContent(ctx context.Context, d digest.Digest) (size int64, err error)
	// Verify compares the content of a blob or manifest that is stored with its digest, unless that was done not long ago.
	// Callers that verify the same at the same time have it read once. [CodeBlobUnknown] where it is not stored; the cause
	// is a [DefectError], with Repos, if its file is missing or damaged.
	Verify(ctx context.Context, d digest.Digest) error
	// OpenContent opens a blob or manifest that is held. [CodeBlobUnknown] where it is not.
	OpenContent(ctx context.Context, d digest.Digest) (Blob, error)
	// ResumeBlob is [BlobStore.Receive] for a blob that comes in parts, with any time and any restart of the process in between:
	// it begins one, for a zero part, or goes on where that was kept, with what was written since cut off. Nobody else may
	// be going on with it. [CodeBlobUploadUnknown] if that part is not there any more.
	ResumeBlob(ctx context.Context, d digest.Digest, part PartialBlob) (ResumableBlob, error)
	// ProtectPartial keeps a part from expiring ([CollectStore.ExpireUpload]) until release is called, once or more often. It
	// is not durable.
	ProtectPartial(id string) (release func())
	// ImportFile takes in the file at path as blob d, after it was read and verified ([CodeDigestInvalid]): without
	// copying it where the file system can give one file two names (linked), or else as if it had been received. It must
	// be a file: no link, folder or device. Who writes to a linked file from then on damages the blob.
	ImportFile(ctx context.Context, d digest.Digest, path string) (linked bool, err error)
	// ImportManifests stores manifests in one transaction, in which blobs that are held anywhere are linked to their repositories.
	// One that needs a blob that is not held keeps all of them out: [CodeManifestBlobUnknown]. Its own bytes are held
	// already, having come as a blob. No tag moves.
	ImportManifests(ctx context.Context, manifests []ImportedManifest) error
	// PointTags points tags at manifests that their repositories hold, and makes roots, all in one transaction. A pushed
	// tag that points elsewhere stays as it is and is returned, unless overwrite is set.
	PointTags(ctx context.Context, tags []ImportedTag, overwrite bool) (kept []ImportedTag, err error)
}

// ResumableBlob is an [BlobWriter] that comes in parts. Abort, and an error of Commit, drop what was written since [ImportStore.ResumeBlob];
// the part that it goes on from stays, unless all of it is [CodeDigestInvalid].
type ResumableBlob interface {
	BlobWriter
	// SuspendPartial ends it, with what was written durable. Whoever is to go on with it has to note the part; what was kept before
	// stays as it was until then. One that nobody goes on with expires as an upload does, see [ImportStore.ProtectPartial].
	// After an error it is as after Abort.
	SuspendPartial() (PartialBlob, error)
}

// PartialBlob is what was kept of a blob: what it takes to go on with it.
type PartialBlob struct {
	ID        string           `json:"id"`
	Algorithm digest.Algorithm `json:"algorithm"`
	Size      int64            `json:"size"` // in bytes
	Hash      []byte           `json:"hash"` // the state of the hash of these; where it is of no use, they are read again
}

// ImportedManifest is a manifest to be stored, whose bytes are held.
type ImportedManifest struct {
	Repo      Repo
	Digest    digest.Digest
	MediaType string // as [ParseManifest] takes it
	Origin    Origin // [Imported] for most; never [Mirrored]
	// Local makes the repository a local one, as if it had been created by a push, unless it is there already: it was
	// local where it comes from, and no upstream is to be asked for it.
	Local bool
	// With is what else came that the manifest names and does not need: what is stored of it can be read in Repo from then
	// on. What the manifest needs can be read in any case; of all else, to name it is not enough.
	With []digest.Digest
}

// ImportedTag is a tag to be pointed at a manifest. Without a tag it makes the manifest a root: somebody named it by its
// digest, as Kubernetes, Helm and CRI do, so it is an image that is listed and carried and needs no tag to stay. A root is
// one until its manifest is deleted. A mere pull by digest makes none.
type ImportedTag struct {
	Repo   Repo          `json:"-"`
	Tag    string        `json:"tag"`
	Digest digest.Digest `json:"digest"`
	Origin Origin        `json:"origin"` // of the tag; a root has none
	// SkipChildren makes no root of what a stored index of the repository names: clients that want a platform of an image ask for
	// it by its digest, and it comes and goes with the image.
	SkipChildren bool `json:"loose,omitempty"`
	// Was is what a tag that was kept points at, in the answer of [ImportStore.PointTags].
	Current digest.Digest `json:"was,omitempty"`
}
