package mirror

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// CollectStore is the part of a store that a garbage collector needs: a view of everything that is stored, and
// deletions that skip content which was used after that view. It may be used concurrently with everything else.
//
// A blob is fresh if it was added, linked to a repository, mounted, pushed again, read or looked up
// ([BlobStore.StatBlob]) since a given time. A crash may lose the uses of the last half minute, except for blobs that
// were added or linked.
type CollectStore interface {
	// Now returns the time of the clock of the store. All times in the store are readings of this clock, so ages must
	// be computed with Now. The clock follows the wall clock until the wall clock is set; it never jumps or runs
	// backwards.
	Now() time.Time
	// Survey calls f with one consistent view of everything that is stored. It blocks no writer, but space that writers
	// free meanwhile is reused only after Survey has returned. f must not write to the store.
	Survey(ctx context.Context, f func(Survey) error) error
	// SurveyRefs is Survey for the removal of references: for tags, or manifests by digest, which need not be stored. The
	// view has the manifests that refs name, their children and referrers and so on, and every manifest that one of
	// these belongs to; the tags of all of them; and the files of those that refs name, or that belong to them. It takes
	// as long as these are many, however much else is stored.
	//
	// [SurveyedBlob.Users] may be less than the number of manifests, if it is greater than the number of manifests in
	// the view. [SurveyedBlob.Used] does not include uses, and [SurveyedBlob.Repos] is empty.
	SurveyRefs(ctx context.Context, refs []Ref, f func(Survey) error) error
	// Protect protects manifests and blobs with these digests, in all repositories, from [CollectStore.Sweep], and
	// their files from [CollectStore.DeleteOrphan], until release is called. release may be called more than once.
	// Content that is stored when Protect returns is kept. The protection ends with the process.
	Protect(digests ...digest.Digest) (release func())
	// Sweep deletes the content that the requests name, unless it is needed now. Each [DeleteRequest] takes one
	// transaction, except for its Blobs. Short requests may share a transaction. Other writers run in between. Files
	// are deleted after the transaction that deletes their records, so a crash may leave orphans.
	//
	// done is called after each request, in their order, with its result; it may be nil. A file that cannot be deleted
	// becomes an orphan. Content that cannot be checked is kept. In both cases Sweep continues, and returns an error at
	// the end. It ends early if the index fails or ctx ends.
	//
	// Sweep deletes the record of a repository without manifests, unless the repository is local: otherwise an upstream
	// could take over its name.
	Sweep(ctx context.Context, requests iter.Seq[DeleteRequest], done func(DeleteResult)) error
	// Uploads lists uploads that are not complete, and suspended parts of blobs ([ResumableBlob.SuspendPartial]), in no
	// order.
	Uploads(ctx context.Context) iter.Seq2[UploadInfo, error]
	// ExpireUpload deletes an upload unless it is open or was written to since idle. It does not wait. An upload that
	// does not exist is no error.
	ExpireUpload(ctx context.Context, id string, idle time.Time) (expired bool, err error)
	// Orphans lists files of blobs that the index does not name, in no order. A crash can leave such files. Orphans
	// skips protected files, and files that a running operation is about to index or to delete.
	Orphans(ctx context.Context) iter.Seq2[Orphan, error]
	// DeleteOrphan deletes the file of a blob unless the index names the blob now, or the file was written after
	// cutoff.
	DeleteOrphan(ctx context.Context, d digest.Digest, cutoff time.Time) (deleted bool, err error)
}

// Survey is one consistent view of what is stored, for use by one goroutine. It must not be used after the function
// that it was passed to has returned. A yielded value is valid until the next iteration; strings in it stay valid. An
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
	Blobs        []digest.Digest // that a push must upload first, without duplicates
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
	// Used is the time when it was last added, linked to a repository or used there.
	Used time.Time
	// Repos are the indexes in [Survey.Repos] of the repositories that may read it, or have a manifest that needs it or
	// is stored in it, in ascending order. A repository that only names it is not among them.
	Repos []int
}

// Origin returns the origin of the file: of several repositories, that of the one whose content is the hardest to fetch
// again, and "" if none has it. repos are those of the survey.
func (b *SurveyedBlob) Origin(repos []SurveyedRepo) Origin {
	var origin Origin
	for _, i := range b.Repos {
		switch repos[i].Origin {
		case Imported:
			return Imported
		case Pushed:
			origin = Pushed
		case Mirrored:
			if origin == "" {
				origin = Mirrored
			}
		}
	}
	return origin
}

// DeleteRequest names content that a collector found unused, and the state in which the collector saw it. The content
// is deleted completely or not at all, except for Blobs, which are checked one by one.
type DeleteRequest struct {
	Repo Repo // of Tags and Manifests; without any, the record of an empty repository is deleted; may be zero
	// Tags are deleted if they still point at the same manifest. If one of them points elsewhere or is pinned, nothing
	// is deleted. A tag that was deleted meanwhile is ignored.
	Tags []ObservedTag
	// Manifests are deleted, each with the content that only it needed: its entry among the referrers, blobs that no
	// other manifest uses and that are neither fresh nor protected, and the links of the repository to blobs that none
	// of its other manifests uses.
	//
	// Nothing is deleted if one of them was used, added or made a root after its time here, is pinned or protected, or
	// is needed by something outside of the request: a tag that points at it, a manifest that names it, or a stored
	// manifest that is its subject. A manifest that was deleted meanwhile is ignored.
	Manifests []ObservedManifest
	// Referrers deletes manifests even if their subject is kept. It is set for manifests that a user named explicitly.
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
	Kept      string          // reason, for messages, why no Tags and Manifests were deleted; "" if they were deleted
	Tags      int             // deleted
	Manifests int             // deleted
	Blobs     []digest.Digest // whose files were deleted, including those of manifests
	Bytes     int64           // size of these files
	Longest   time.Duration   // duration of the longest transaction, which other writers waited for
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
