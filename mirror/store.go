package mirror

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Origin says how a tag, a manifest or a repository came to be here.
type Origin string

// The three ways in.
const (
	Pushed   Origin = "pushed"   // by a client of this mirror
	Mirrored Origin = "mirrored" // through it, from an upstream
	Imported Origin = "imported" // in a bundle
)

// Store holds content and knows what it is called. All of it may be used concurrently.
//
// What a method has returned success for survives kill -9 and power loss. Content is never visible before it is
// durable, and never called by a digest that it was not checked against. Errors about content are an [Error] with the
// code that each method names; any other error is a fault of the store.
type Store interface {
	BlobStore
	UploadStore
	ManifestStore
	Catalog
	StateStore
	ImportStore
	CollectStore
	CheckStore
	// Close writes what is still in memory and gives the data folder free for another process.
	Close() error
}

// BlobStore holds blobs. A blob is kept once and is readable in every repository that it is linked to: by a push or a
// mount, by a transfer from an upstream or the word of one that has sent it before, or because a manifest that was
// imported points at it. That one from an upstream does is not enough: who writes it need not have the blob, and may want
// to read that of somebody else.
type BlobStore interface {
	// Blob opens blob d as repo sees it. [CodeBlobUnknown] unless it is held and linked to repo.
	Blob(ctx context.Context, repo Repo, d digest.Digest) (Blob, error)
	// StatBlob says what is known of d in repo; for a digest that nobody named there it is the zero value, no error. A blob
	// that is held and linked is fresh from then on, unless one just looks ([UsageIgnored]): who asked may not push it for that.
	StatBlob(ctx context.Context, repo Repo, d digest.Digest) (BlobStat, error)
	// Receive begins to take in a blob that is expected to have digest d. If d is empty, the blob is held under whatever
	// sha256 digest it turns out to have.
	Receive(ctx context.Context, d digest.Digest) (BlobWriter, error)
	// ReferencedBy lists the manifests of repo that name blob d, but for indexes that call it a manifest.
	ReferencedBy(ctx context.Context, repo Repo, d digest.Digest) ([]digest.Digest, error)
	// Mount links d, held in from, to repo; with a zero from, held anywhere. [CodeBlobUnknown] where it is not.
	Mount(ctx context.Context, repo, from Repo, d digest.Digest) (size int64, err error)
	// Confirm makes d, which is held, readable in repo, whose upstream says that it is there. [CodeBlobUnknown] unless
	// that upstream has sent it for another of its repositories: of a push, or of what another host sent, it may know no
	// more than the digest.
	Confirm(ctx context.Context, repo Repo, d digest.Digest) error
	// Unlink makes d unreadable in repo. [CodeBlobUnknown] where it is not linked; [CodeUnsupported] as long as a
	// manifest of repo points at it. The bytes stay until they are collected.
	Unlink(ctx context.Context, repo Repo, d digest.Digest) error
}

// BlobStat is what a store knows of a digest in one repository.
type BlobStat struct {
	Stored     bool  // the bytes are here, whether this repository may read them or not
	Linked     bool  // this repository may read them, once they are here
	Size       int64 // in bytes; meaningful if Held or Awaited, and -1 if only a manifest that does not say it names the blob
	Referenced bool  // a manifest here names it
	Required   bool  // a manifest here needs it, and says what size it has
	// Confirmable says of what is held and not linked that the upstream of this repository has sent it for another one.
	Confirmable bool
}

// Blob is an open blob; close it. If the content is a file, ReadSeekCloser is the *os.File itself, so that net/http can
// use sendfile. It is safe for use by one goroutine.
type Blob struct {
	io.ReadSeekCloser
	Size int64 // -1 if it is arriving and nobody knows yet
	// Verify compares the bytes with the digest. It is nil if that was done not long ago and they were not changed since.
	// Callers that do so at the same time, for one blob that they have opened each for itself, have it read once.
	// [CodeBlobUnknown] with a [DefectError] for its cause, with Repos, if it is damaged.
	Verify func(ctx context.Context) error
}

// BlobWriter is a blob on its way in. Writes, Commit and Abort belong to one goroutine; Tail may be called by others.
type BlobWriter interface {
	io.Writer
	// Tail opens what was written so far, to be read at any offset while more is being written, even after Commit or
	// Abort. Close it.
	Tail() (Tail, error)
	// Verify reports with [CodeDigestInvalid] whether what was written is not the blob that was announced; it cannot be
	// wrong if nothing was.
	Verify() error
	// Digest is what was announced or, if nothing was, what Commit found the blob to be; "" before.
	Digest() digest.Digest
	// Commit makes the verified blob durable and links it to repo, whose upstream sent it; with a zero repo to none, so
	// that nobody can read it yet. After an error nothing of it is kept.
	Commit(ctx context.Context, repo Repo) error
	// Abort drops what was written. After Commit it does nothing.
	Abort() error
}

// Tail reads bytes that another goroutine writes; it is an *os.File where the store can make it one.
type Tail interface {
	io.ReaderAt
	io.Closer
}

// UploadStore keeps pushes that are under way; they outlive the process.
type UploadStore interface {
	// StartUpload opens an upload into repo whose bytes are hashed with algorithm as they arrive.
	StartUpload(ctx context.Context, repo Repo, algorithm digest.Algorithm) (Upload, error)
	// Upload opens an upload again, for one caller at a time: it waits until another one lets go, or ctx ends.
	// [CodeBlobUploadUnknown] for an id that repo does not have, [CodeUploadBusy] if the wait was in vain.
	Upload(ctx context.Context, repo Repo, id string) (Upload, error)
}

// Upload is a push under way. It is safe for use by one goroutine, which must end with Commit, Cancel or Close.
type Upload interface {
	// ID names the upload in a URL.
	ID() string
	// Size is how many bytes are in.
	Size() int64
	// Append adds what it can read, and keeps what came even when reading fails.
	Append(r io.Reader) (int64, error)
	// Commit ends the upload: what came in is verified to be d, made durable and linked to repo.
	// [CodeDigestInvalid] if it is not d; the upload is over then as well.
	Commit(ctx context.Context, d digest.Digest) error
	// Cancel drops the upload.
	Cancel() error
	// Close puts the upload aside to go on later, in this process or the next. After Commit or Cancel it does nothing.
	Close() error
}

// ManifestStore holds manifests and the tags that name them.
type ManifestStore interface {
	// Manifest returns a held manifest. [CodeManifestUnknown] where repo does not hold it.
	Manifest(ctx context.Context, repo Repo, d digest.Digest) (Manifest, error)
	// OpenManifest opens the bytes of a held manifest as [BlobStore] opens those of a blob, for who passes them on and need
	// not have them in memory. [CodeManifestUnknown] where repo does not hold it; [CodeBlobUnknown], with a [DefectError] for
	// its cause, if its file is missing or damaged.
	OpenManifest(ctx context.Context, repo Repo, d digest.Digest) (Blob, error)
	// Tag returns what a tag points at. [CodeManifestUnknown] where repo does not have it.
	Tag(ctx context.Context, repo Repo, tag string) (Tag, error)
	// PutManifest stores m with its references, and points tags at it, in one transaction.
	//
	// A pushed or imported image must have all its blobs: each one that is not held and linked to repo is named in the
	// detail of a [CodeManifestBlobUnknown]. A mirrored one may come before them, and announces them. A mirrored
	// manifest never moves a tag that was pushed. The first manifest of a repository makes it local or mirrored.
	PutManifest(ctx context.Context, repo Repo, m Manifest, tags ...string) error
	// Revalidated notes that an upstream said at a moment that tag still points at d.
	Revalidated(ctx context.Context, repo Repo, tag string, d digest.Digest, at time.Time) error
	// DeleteManifest removes the manifest and every tag that points at it. [CodeManifestUnknown] where there is none.
	DeleteManifest(ctx context.Context, repo Repo, d digest.Digest) error
	// DeleteTag removes the tag and leaves its manifest. [CodeManifestUnknown] where there is none.
	DeleteTag(ctx context.Context, repo Repo, tag string) error
}

// Tag is what a tag points at.
type Tag struct {
	Digest  digest.Digest
	Origin  Origin
	Updated time.Time // when it was made or last moved
	Checked time.Time // mirrored: when the upstream last confirmed it
}

// Root is a manifest that somebody brought in by its digest.
type Root struct {
	Digest digest.Digest
	Added  time.Time // when it became one
	Tagged bool      // a tag points at it as well
}

// Catalog lists what is held. Lists are in byte order, begin after a name that need not exist, and have up to n items.
type Catalog interface {
	// RepoOrigin says who created repo: [Pushed] makes it local. [CodeNameUnknown] where nobody did.
	RepoOrigin(ctx context.Context, repo Repo) (Origin, error)
	// Repos lists repositories in the order of [Repo.String].
	Repos(ctx context.Context, after string, n int) ([]Repo, error)
	// Tags lists the tags of repo. [CodeNameUnknown] where there is no such repository.
	Tags(ctx context.Context, repo Repo, after string, n int) ([]string, error)
	// Roots lists what was brought to repo by its digest and stays without a tag, see [ImportedTag]. It is empty where there
	// is no such repository.
	Roots(ctx context.Context, repo Repo, after digest.Digest, n int) ([]Root, error)
	// Manifests lists the manifests of repo whose digests begin with begin, which may be empty.
	Manifests(ctx context.Context, repo Repo, begin string, n int) ([]digest.Digest, error)
	// LastUsed returns when somebody who did not just look ([UsageIgnored]) last had a use for d in repo: read it, asked about a
	// blob, or put again what is there already; the zero time if that is not known.
	LastUsed(ctx context.Context, repo Repo, d digest.Digest) (time.Time, error)
	// Referrers lists, in the order of their digests, the manifests of repo whose subject is d, with their artifact
	// type and annotations: up to n after a digest, and no more than come to size bytes as JSON, but at least one. more
	// says whether the list goes on. It is empty where there are none, or no such repository.
	Referrers(ctx context.Context, repo Repo, subject, after digest.Digest, n, size int) (list []v1.Descriptor, more bool, err error)
}
