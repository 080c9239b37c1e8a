package mirror

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// CollectStore is what a garbage collector needs of a store: a view of everything that is stored, and deletions that
// keep what has come into use since that view. It may be used concurrently with everything else.
//
// A blob is fresh if it was added, linked to a repository, mounted, pushed again, read or checked for
// ([BlobStore.StatBlob]) since a given time. After a crash, the uses of the last half minute may be forgotten, except
// for blobs that were added or linked.
type CollectStore interface {
	// Now returns the time of the clock that all times of the store are taken from. Ages must be measured with it. It is
	// the wall clock as long as nobody sets that. It does not jump and never goes back.
	Now() time.Time
	// Survey calls f with one consistent view of everything that is stored. It holds no lock that a writer waits for,
	// but space that is freed meanwhile is reused only after it. f must not write to the store.
	Survey(ctx context.Context, f func(Survey) error) error
	// Protect protects manifests and blobs with these digests, in all repositories, from [CollectStore.Sweep], and their
	// files from [CollectStore.DeleteOrphan], until release is called; more than one call does no harm. Content that is
	// stored when Protect returns is kept. The protection ends with the process.
	Protect(digests ...digest.Digest) (release func())
	// Sweep deletes what the requests name, unless something has come to need it. Each [DeleteRequest] takes one
	// transaction, except for its Blobs. Short requests may share a transaction. Other writers run in between. Files are
	// deleted after the transaction that deletes their records, so a crash may leave orphans.
	//
	// done is called after each request, in their order, with its result; it may be nil. A file that cannot be deleted
	// becomes an orphan. What cannot be checked is kept. Sweep continues after both and returns an error at the end. It
	// ends early if the index fails or ctx ends.
	//
	// A repository without manifests is forgotten unless it is local: an upstream could take over the name otherwise.
	Sweep(ctx context.Context, condemned iter.Seq[DeleteRequest], done func(DeleteResult)) error
	// Uploads lists uploads that are not complete, and suspended parts of blobs ([ResumableBlob.SuspendPartial]), in no
	// order.
	Uploads(ctx context.Context) iter.Seq2[UploadInfo, error]
	// ExpireUpload deletes an upload unless it is open or was written to since idle. It does not wait. An upload that
	// does not exist is no error.
	ExpireUpload(ctx context.Context, id string, idle time.Time) (expired bool, err error)
	// Orphans lists files of blobs that the index does not name, as crashes leave them, in no order. It skips files that
	// are about to be named or deleted, and protected ones.
	Orphans(ctx context.Context) iter.Seq2[Orphan, error]
	// DeleteOrphan deletes the file of a blob unless the index names it now or it was written after before.
	DeleteOrphan(ctx context.Context, d digest.Digest, before time.Time) (dropped bool, err error)
}

// Survey is one consistent view of what is stored, for use by one goroutine. It must not be used after the function that
// it was passed to has returned. What an iterator yields is valid until the next iteration, except for strings. An
// iterator continues after an error about one record, which it skips.
type Survey interface {
	// Repos returns all repositories in the order of [Repo.String]. Other items refer to them by their index. A
	// repository with blobs that has never had a manifest is not listed.
	Repos() []SurveyedRepo
	// Manifests yields every manifest, in the order of repository and digest.
	Manifests() iter.Seq2[*SurveyedManifest, error]
	// Tags yields every tag, in the order of repository and tag.
	Tags() iter.Seq2[SurveyedTag, error]
	// Blobs yields every stored file, including those of manifests, in the order of digests.
	Blobs() iter.Seq2[*SurveyedBlob, error]
	// Pinned reports whether a tag, or a manifest by its digest, is pinned.
	Pinned(Ref) bool
	// Protected reports whether [CollectStore.Protect] protects a digest.
	Protected(digest.Digest) bool
}

// SurveyedRepo is a repository in a [Survey].
type SurveyedRepo struct {
	Repo   Repo
	Origin Origin // of its first manifest; [Pushed] means that it is local
}

// SurveyedManifest is a manifest in a [Survey].
type SurveyedManifest struct {
	Repo         int // index in [Survey.Repos]
	Digest       digest.Digest
	MediaType    string
	Size         int64 // of the manifest itself, in bytes
	Origin       Origin
	Added        time.Time
	Used         time.Time       // see [Catalog.LastUsed]
	Root         time.Time       // when it became a root, see [Catalog.Roots]; zero if it is none
	Subject      digest.Digest   // "" if there is none
	ArtifactType string          // "" if there is none
	Blobs        []digest.Digest // that a push must bring, without duplicates
	Children     []digest.Digest // of an index, without duplicates; need not be stored
	Owned        []digest.Digest // other content that it names, without duplicates; need not be stored
}

// SurveyedTag is a tag in a [Survey].
type SurveyedTag struct {
	Repo int // index in [Survey.Repos]
	Name string
	Tag
}

// SurveyedBlob is a file in a [Survey].
type SurveyedBlob struct {
	Digest digest.Digest
	Size   int64 // in bytes
	Added  time.Time
	// Users is the number of manifests, in all repositories, that name it or are stored in it.
	Users int
	// Fresh is when it was last added, linked to a repository or used there.
	Fresh time.Time
	// Repos are the indexes in [Survey.Repos] of the repositories that may read it, or have a manifest that needs it or
	// is stored in it, in ascending order. A repository that only names it is not among them.
	Repos []int
}

// DeleteRequest names content that a collector found unused, as it saw it. It is deleted completely or not at all,
// except for its Blobs, which are checked one by one.
type DeleteRequest struct {
	Repo Repo // of Tags and Manifests; without any, the repository is forgotten if it is empty; may be zero
	// Tags are deleted if they still point at the same manifest. One that points elsewhere, or is pinned, keeps
	// everything. One that was deleted meanwhile does not.
	Tags []ObservedTag
	// Manifests are deleted, each with what only it needed: its entry among the referrers, blobs that no other manifest
	// uses and that are neither fresh nor protected, and the links of the repository to blobs that none of its other
	// manifests uses.
	//
	// Everything is kept if one of them was used, added or made a root after its time here, is pinned or protected, or
	// is needed by something outside of the request: a tag that points at it, a manifest that names it, or a stored
	// manifest that is its subject. One that was deleted meanwhile keeps nothing.
	Manifests []ObservedManifest
	// Referrers deletes manifests even if their subject is kept, for manifests that somebody named explicitly.
	Referrers bool
	// Blobs are deleted with their links unless a manifest uses them, or they are fresh or protected.
	Blobs []digest.Digest
	// Before is the time since which a blob counts as fresh.
	Before time.Time
}

// ObservedTag is a tag as a collector saw it.
type ObservedTag struct {
	Name   string
	Digest digest.Digest
}

// ObservedManifest is a manifest as a collector saw it.
type ObservedManifest struct {
	Digest digest.Digest
	Used   time.Time // when it was added or last used
}

// DeleteResult is the result of a [DeleteRequest].
type DeleteResult struct {
	Kept      string          // why no Tags and Manifests were deleted, a sentence for people; "" if they were
	Tags      int             // deleted
	Manifests int             // deleted
	Blobs     []digest.Digest // whose files were deleted, including those of manifests
	Bytes     int64           // size of these files
	Longest   time.Duration   // longest transaction: how long other writers had to wait
}

// UploadInfo describes an upload that is not complete, or a part of a blob.
type UploadInfo struct {
	ID      string
	Repo    string // see [Repo.String]; "" for a part of a blob
	Size    int64  // bytes that have arrived
	Written time.Time
	Open    bool // it is open or protected, and does not expire
}

// Orphan is a file of a blob that the index does not name.
type Orphan struct {
	Digest  digest.Digest
	Size    int64 // in bytes
	Written time.Time
}
