package mirror

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Origin is how a tag, a manifest or a repository was created.
type Origin string

// The origins.
const (
	Pushed   Origin = "pushed"   // by a client
	Mirrored Origin = "mirrored" // from an upstream
	Imported Origin = "imported" // from a bundle
)

// Store stores content and its names. It may be used concurrently.
//
// A change survives kill -9 and power loss after its method has returned success. Content is never visible before it is
// durable, and never stored under a digest that it was not checked against. Errors about content are an [Error] with
// the code that a method documents; any other error is a failure of the store.
type Store interface {
	BlobStore
	UploadStore
	ManifestStore
	Catalog
	StateStore
	ImportStore
	CollectStore
	CheckStore
	// Close writes what is still in memory and unlocks the data folder.
	Close() error
}

// BlobStore stores blobs. A blob is stored once and can be read in every repository that it is linked to. A push, a
// mount or a transfer from an upstream links it, and so does an imported manifest that names it. For a mirrored manifest
// that is not enough, since its author need not have the blob and may try to read one of another repository; see
// Confirm.
type BlobStore interface {
	// Blob opens blob d in repo. [CodeBlobUnknown] unless it is stored and linked to repo.
	Blob(ctx context.Context, repo Repo, d digest.Digest) (Blob, error)
	// StatBlob returns the state of blob d in repo, and the zero value without an error if the store knows nothing
	// about it. It records a use of a blob that is stored and linked, unless ctx says otherwise ([UsageIgnored]): the
	// client may not push the blob because of the answer.
	StatBlob(ctx context.Context, repo Repo, d digest.Digest) (BlobStat, error)
	// Receive begins to store a blob with digest d. If d is empty, the blob is stored under its sha256 digest.
	Receive(ctx context.Context, d digest.Digest) (BlobWriter, error)
	// ReferencedBy lists the manifests of repo that name blob d, except indexes that call it a manifest.
	ReferencedBy(ctx context.Context, repo Repo, d digest.Digest) ([]digest.Digest, error)
	// Mount links blob d, which is linked to from, to repo. With a zero from, the blob may be linked to any repository.
	// [CodeBlobUnknown] if there is none.
	Mount(ctx context.Context, repo, from Repo, d digest.Digest) (size int64, err error)
	// Confirm links blob d to repo, whose upstream has confirmed that it has the blob there. [CodeBlobUnknown] unless
	// the same upstream has sent the blob for another repository: of other blobs, an upstream may know no more than the
	// digest.
	Confirm(ctx context.Context, repo Repo, d digest.Digest) error
	// Unlink makes d unreadable in repo. [CodeBlobUnknown] if it is not linked; [CodeUnsupported] while a manifest of
	// repo names it. The collector deletes the bytes.
	Unlink(ctx context.Context, repo Repo, d digest.Digest) error
}

// BlobStat is what a store knows of a digest in one repository.
type BlobStat struct {
	Stored     bool  // the bytes are stored, whether or not this repository may read them
	Linked     bool  // this repository may read them if they are stored
	Size       int64 // in bytes, if Stored or Referenced; -1 if no manifest states it
	Referenced bool  // a manifest of this repository names it
	Required   bool  // a manifest of this repository needs it and states its size
	// Confirmable says that the blob is stored and not linked, and that the upstream of this repository sent it for
	// another one.
	Confirmable bool
}

// Blob is an open blob, for use by one goroutine. The caller closes it. If the content is a file, ReadSeekCloser is the
// *os.File itself, so that net/http can use sendfile.
type Blob struct {
	io.ReadSeekCloser
	Size int64 // in bytes; -1 while it is unknown, as for a blob that is still arriving
	// Verify compares the bytes with the digest. It is nil if that was done recently and the bytes have not changed
	// since. Concurrent calls for the same blob, opened several times, read it once. If the blob is damaged, the error
	// is a [CodeBlobUnknown] whose cause is a [DefectError] with Repos.
	Verify func(ctx context.Context) error
}

// BlobWriter stores one blob. One goroutine may call Write, Verify, Commit and Abort; Tail may be called by others.
type BlobWriter interface {
	io.Writer
	// Tail opens what was written so far. It can be read at any offset while more is written, and even after Commit or
	// Abort. The caller closes it.
	Tail() (Tail, error)
	// Verify returns a [CodeDigestInvalid] if what was written does not have the digest that was given to Receive.
	// Without one, it succeeds.
	Verify() error
	// Digest returns the digest that was given to Receive or, without one, that of the blob after Commit and "" before.
	Digest() digest.Digest
	// Commit makes the verified blob durable and links it to repo, whose upstream sent it. With a zero repo, it links
	// the blob to no repository, so that no client can read it yet. After an error nothing is stored.
	Commit(ctx context.Context, repo Repo) error
	// Abort deletes what was written. After Commit it does nothing.
	Abort() error
}

// Tail reads bytes that another goroutine writes. It is an *os.File if the store can provide one.
type Tail interface {
	io.ReaderAt
	io.Closer
}

// UploadStore stores uploads until they are complete. They survive a restart.
type UploadStore interface {
	// StartUpload starts an upload into repo, whose bytes are hashed with algorithm as they arrive.
	StartUpload(ctx context.Context, repo Repo, algorithm digest.Algorithm) (Upload, error)
	// Upload opens an upload that was started before, for one caller at a time. It waits until another caller closes it,
	// or ctx ends. [CodeBlobUploadUnknown] if repo has no upload with this id, [CodeUploadBusy] if the other caller did
	// not close it in time.
	Upload(ctx context.Context, repo Repo, id string) (Upload, error)
}

// Upload is an upload of one blob, for use by one goroutine. The caller ends it with Commit, Cancel or Close.
type Upload interface {
	// ID identifies the upload in a URL.
	ID() string
	// Size returns the number of bytes that are stored.
	Size() int64
	// Append appends the bytes that it reads from r. If reading fails, it keeps the bytes that it has read.
	Append(r io.Reader) (int64, error)
	// Commit completes the upload: it verifies the digest, makes the blob durable and links it to repo.
	// [CodeDigestInvalid] if the digest is not d, which ends the upload as well.
	Commit(ctx context.Context, d digest.Digest) error
	// Cancel deletes the upload.
	Cancel() error
	// Close closes the upload so that it can be continued later, even after a restart. After Commit or Cancel it does
	// nothing.
	Close() error
}

// ManifestStore stores manifests and tags.
type ManifestStore interface {
	// Manifest returns a stored manifest. [CodeManifestUnknown] if repo does not have it.
	Manifest(ctx context.Context, repo Repo, d digest.Digest) (Manifest, error)
	// OpenManifest opens the bytes of a stored manifest, as [BlobStore] opens a blob, for callers that do not need them
	// in memory. [CodeManifestUnknown] if repo does not have it; [CodeBlobUnknown], with a [DefectError] as its cause,
	// if its file is missing or damaged.
	OpenManifest(ctx context.Context, repo Repo, d digest.Digest) (Blob, error)
	// Tag returns what a tag points at. [CodeManifestUnknown] if repo does not have it.
	Tag(ctx context.Context, repo Repo, tag string) (Tag, error)
	// PutManifest stores m with its references, and points tags at it, in one transaction.
	//
	// A pushed or imported image must have all its blobs. If one is not stored and linked to repo, the error is a
	// [CodeManifestBlobUnknown] whose detail names all such blobs. A mirrored manifest may be stored before its blobs.
	// It never moves a tag that was pushed. The origin of the first manifest of a repository makes that local or
	// mirrored.
	PutManifest(ctx context.Context, repo Repo, m Manifest, tags ...string) error
	// Revalidated records that an upstream confirmed at a time that tag still points at d.
	Revalidated(ctx context.Context, repo Repo, tag string, d digest.Digest, at time.Time) error
	// DeleteManifest deletes the manifest and every tag that points at it. [CodeManifestUnknown] if there is none.
	DeleteManifest(ctx context.Context, repo Repo, d digest.Digest) error
	// DeleteTag deletes the tag and not its manifest. [CodeManifestUnknown] if there is none.
	DeleteTag(ctx context.Context, repo Repo, tag string) error
}

// Tag is what a tag points at.
type Tag struct {
	Digest  digest.Digest
	Origin  Origin
	Updated time.Time // when it was created or last moved
	Checked time.Time // for [Mirrored]: when the upstream last confirmed it
}

// Root is a manifest that was stored by its digest, see [ImportedTag].
type Root struct {
	Digest digest.Digest
	Added  time.Time // when it became a root
	Tagged bool      // a tag points at it, too
}

// Catalog lists what is stored. Lists are in byte order, start after a name that need not exist, and have up to n items.
type Catalog interface {
	// RepoOrigin returns the origin of repo: [Pushed] means that it is local. [CodeNameUnknown] if there is no such
	// repository.
	RepoOrigin(ctx context.Context, repo Repo) (Origin, error)
	// Repos lists repositories in the order of [Repo.String].
	Repos(ctx context.Context, after string, n int) ([]Repo, error)
	// Tags lists the tags of repo. [CodeNameUnknown] if there is no such repository.
	Tags(ctx context.Context, repo Repo, after string, n int) ([]string, error)
	// Roots lists the roots of repo, see [ImportedTag]. The list is empty if there is no such repository.
	Roots(ctx context.Context, repo Repo, after digest.Digest, n int) ([]Root, error)
	// Manifests lists the manifests of repo whose digests start with prefix, which may be empty.
	Manifests(ctx context.Context, repo Repo, prefix string, n int) ([]digest.Digest, error)
	// Summaries returns what is known of references without reading their manifests, in the same order. It does not
	// count as a use.
	Summaries(ctx context.Context, refs []Ref) ([]Summary, error)
	// Users returns for each digest how many manifests, in all repositories, name it: up to most. A manifest in two
	// repositories counts twice.
	Users(ctx context.Context, digests []digest.Digest, most int) ([]int, error)
	// LastUsed returns when d was last used in repo: read, checked for as a blob, or pushed again. Reads with
	// [UsageIgnored] do not count. The time is zero if it is unknown.
	LastUsed(ctx context.Context, repo Repo, d digest.Digest) (time.Time, error)
	// Referrers lists the manifests of repo whose subject is d, with their artifact types and annotations, in the order
	// of their digests: up to n after a digest, and at most size bytes of JSON, but at least one. more reports whether
	// the list continues. It is empty if there are none, or no such repository.
	Referrers(ctx context.Context, repo Repo, subject, after digest.Digest, n, size int) (list []v1.Descriptor, more bool, err error)
}
