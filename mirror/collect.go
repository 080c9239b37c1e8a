package mirror

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// CollectStore is what a collector of garbage needs of a store: a view of everything that is held, and a way to take out
// what nobody needs without taking anything that somebody came to need since the view. All of it may be used
// concurrently with everything else.
//
// A blob is fresh if it was added, linked to a repository, mounted, pushed again, read or asked about
// ([BlobStore.StatBlob]) since a moment. A crash can forget that of the last half minute, except for what was added or
// linked.
type CollectStore interface {
	// Now is the time by which everything is dated that the store returns: ages are measured from it, never from the time of
	// day. It is the time of day as long as that is not set; it does not jump and never goes back.
	Now() time.Time
	// Survey runs f over one consistent view of everything that is held. It holds no lock that a writer waits for, but the
	// space of what is deleted meanwhile is used again only after it. f must not write to the store.
	Survey(ctx context.Context, f func(Survey) error) error
	// Protect keeps [CollectStore.Sweep] from taking manifests and blobs by these digests, in any repository, and
	// [CollectStore.DeleteOrphan] from taking their files, until release is called, once or more often. What is held when it
	// returns stays. It is not durable.
	Protect(digests ...digest.Digest) (release func())
	// Sweep takes out what is condemned, as far as nothing has come to need it; each [DeleteRequest] in one transaction but
	// for its Blobs, or several together as far as no transaction becomes long. Other writers come in between. Files go
	// after the transaction that took them from the index; a crash in between leaves orphans. done is called after each,
	// in their order, with what became of it, if it is not nil. A file that cannot be removed is an orphan, and what cannot
	// be judged stays: the sweep goes on, and its error says so at the end. It ends before if the index fails, or with ctx.
	//
	// A repository that is left with no manifest is forgotten, unless it is local: that one keeps its name, which an
	// upstream could take over otherwise.
	Sweep(ctx context.Context, condemned iter.Seq[DeleteRequest], done func(DeleteResult)) error
	// Uploads lists the pushes that are under way or were left, and the parts of blobs that were kept ([ResumableBlob.SuspendPartial]), in
	// no order.
	Uploads(ctx context.Context) iter.Seq2[UploadInfo, error]
	// ExpireUpload drops an upload unless somebody has it open or it was written to since idle. It waits for nobody, and
	// an upload that is not there (any more) is no error.
	ExpireUpload(ctx context.Context, id string, idle time.Time) (expired bool, err error)
	// Orphans lists files of blobs that the index does not name, in no order: what crashes left. It leaves out those that
	// are about to be named or removed, and those that are protected.
	Orphans(ctx context.Context) iter.Seq2[Orphan, error]
	// DeleteOrphan removes the file of a blob unless the index names it by now or it was written since before.
	DeleteOrphan(ctx context.Context, d digest.Digest, before time.Time) (dropped bool, err error)
}

// Survey is one view of what is held. What iterators yield is valid until they go on, but for the strings in it. None
// may be used after the function that it was given to has returned, and all are for one goroutine. An iterator goes on
// after an error about one entry, which is left out.
type Survey interface {
	// Repos are all repositories, in the order of [Repo.String]; others refer to them by their place in it. One that has
	// blobs and had no manifest yet is none.
	Repos() []SurveyedRepo
	// Manifests yields every manifest, in the order of repository and digest.
	Manifests() iter.Seq2[*SurveyedManifest, error]
	// Tags yields every tag, in the order of repository and tag.
	Tags() iter.Seq2[SurveyedTag, error]
	// Blobs yields every file that is held, those of manifests included, in the order of their digests.
	Blobs() iter.Seq2[*SurveyedBlob, error]
	// Pinned reports whether a tag, or a manifest by its digest, is pinned.
	Pinned(Ref) bool
	// Protected reports whether [CollectStore.Protect] keeps a digest.
	Protected(digest.Digest) bool
}

// SurveyedRepo is a repository in a [Survey].
type SurveyedRepo struct {
	Repo   Repo
	Origin Origin // of its first manifest; [Pushed] makes it local
}

// SurveyedManifest is a manifest in a [Survey].
type SurveyedManifest struct {
	Repo         int // its place in [Survey.Repos]
	Digest       digest.Digest
	MediaType    string
	Size         int64 // of the manifest itself, in bytes
	Origin       Origin
	Added        time.Time
	Used         time.Time       // as [Catalog.LastUsed] says
	Root         time.Time       // when it was brought in by its digest, see [Catalog.Roots]; zero for most
	Subject      digest.Digest   // "" for most
	ArtifactType string          // "" for most
	Blobs        []digest.Digest // that a push must bring, each once
	Children     []digest.Digest // manifests of an index, each once; need not be stored
	Owned        []digest.Digest // what else it names, each once: blobs or manifests, need not be stored
}

// SurveyedTag is a tag in a [Survey].
type SurveyedTag struct {
	Repo int // its place in [Survey.Repos]
	Name string
	Tag
}

// SurveyedBlob is a file in a [Survey].
type SurveyedBlob struct {
	Digest digest.Digest
	Size   int64 // in bytes
	Added  time.Time
	// Users is how many manifests of all repositories name it, or are it.
	Users int
	// TagTTL is when it was last added, linked to a repository or asked for there, the latest of all of them.
	Fresh time.Time
	// Repos are the places in [Survey.Repos] of those that may read it or have a manifest that needs it or is it,
	// ascending. To name it is not enough.
	Repos []int
}

// DeleteRequest is what a collector found that nobody needs, as it saw it. It is taken out whole or not at all, but for its
// Blobs, each of which is judged by itself.
type DeleteRequest struct {
	Repo Repo // of Tags and Manifests; if there are none it is only forgotten, as [CollectStore.Sweep] says, or zero
	// Tags go if they still point where they did. One that points elsewhere, or is pinned, keeps everything; one that is
	// gone already keeps nothing.
	Tags []ObservedTag
	// Manifests go, and with each what only it needed: its entry among the referrers, blobs that no other manifest uses
	// and that are neither fresh nor protected, and the right of the repository to read blobs that none of its own uses.
	// Everything stays if one of them was used, added or made a root after its time here, is pinned or protected, or is
	// needed by something that is not condemned with it: a tag that points at it, a manifest that names it, or a subject that it
	// refers to and that is held. One that is
	// gone already keeps nothing.
	Manifests []ObservedManifest
	// Referrers has manifests go even if what they refer to stays, which otherwise keeps them: somebody named them.
	Referrers bool
	// Blobs that no manifest uses go, with their links, unless they are fresh or protected.
	Blobs []digest.Digest
	// Before is what makes a blob fresh: one that was added, linked or asked for since stays.
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
	Used   time.Time // the later of when it was added and when it was last read
}

// DeleteResult is what became of a [DeleteRequest].
type DeleteResult struct {
	Kept      string          // why nothing of Tags and Manifests went, a sentence; "" if they did, or there were none
	Tags      int             // that went
	Manifests int             // that went
	Blobs     []digest.Digest // whose files went, those of manifests included
	Bytes     int64           // of these files
	Longest   time.Duration   // of the transactions that it was in: how long other writers had to wait
}

// UploadInfo is a push that has not ended, or a part of a blob.
type UploadInfo struct {
	ID      string
	Repo    string // as [Repo.String] writes it; "" for a part
	Size    int64  // in bytes, so far
	Written time.Time
	Open    bool // somebody has it open or protects it: it does not expire
}

// Orphan is a file of a blob that the index does not name.
type Orphan struct {
	Digest  digest.Digest
	Size    int64 // in bytes
	Written time.Time
}
