package cache

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// The tables of the index. A key joins its parts with a NUL byte, which neither repositories nor tags nor digests
// contain, so that the keys of one repository lie together; a repository is written as [mirror.Repo.String] does.
// Values are JSON: the record that is named here.
//
// What always holds between them, because it is checked in the transaction that could break it:
//
//   - A manifest uses everything that its JSON names by digest, stored or not: the blobs that it needs, what it owns
//     beside them, and the children of an index. See [mirror.References].
//   - A use of a blob that is needed or owned implies a link, in the same repository: what a manifest names cannot be
//     unlinked. To name a digest gives no right to read it. The link is only announced, unless the repository had one
//     before, or the blob is needed by a manifest that was pushed or imported, or came in a bundle with its manifest. Of
//     what a mirrored manifest names, the upstream says whether the repository may read it.
//   - A link implies that the blob is stored, or that a manifest of the repository uses it.
//   - A manifest that was pushed or imported needs blobs that are all stored; what else it owns may be missing. A mirrored
//     one may need blobs that are not stored; it is complete once its repository may read every blob in its record, and
//     its children are complete.
//   - A manifest has an entry in blobs for its own file, and uses it.
//   - A tag points at a manifest of its repository, and has an entry in tagged.
//   - A manifest has an entry in parents for each of its children and for what it owns, since that may be a manifest,
//     stored or not.
//   - A root is a manifest of its repository.
//
// So an entry in blobs that has no link and no use is what a collector may take. What else it may take out it judges in
// the transaction that does it, by what lies under one prefix of a key: the uses of a blob, the tags and the parents of a
// manifest. A manifest that neither a tag nor a parent has is needed by nobody but its readers, and a referrer by none.
//
// A file without an entry in blobs is what a crash left between making bytes durable and naming them, or between taking
// an entry out and removing the file; it is invisible. Files are written before entries and must be removed after them,
// and under a guard: see [guards].
const (
	// tableMeta: "schema" → schemaRecord; "clock" → clockRecord.
	tableMeta backend.Table = "meta"
	// tableRepos: repository → repoRecord. Written with the first manifest and kept when the last one is deleted: a name
	// that was local stays local, or an upstream could take it over. A sweep forgets one that is not local and is left
	// without a manifest: whoever names it next creates it anew.
	tableRepos backend.Table = "repos"
	// tableBlobs: digest → blobRecord, for every file that is held, manifests included.
	tableBlobs backend.Table = "blobs"
	// tableLinks: digest, repository → linkRecord. The repository may read the blob, unless it is only announced. The
	// digest comes first to find a repository to mount from, and to see that nobody needs a blob any more.
	tableLinks backend.Table = "links"
	// tableManifests: repository, digest → manifestRecord.
	tableManifests backend.Table = "manifests"
	// tableUses: digest of a file, repository, digest of the manifest → useRecord. The manifest names that file, which may
	// be a blob, a manifest or absent, or is that file.
	tableUses backend.Table = "uses"
	// tableTags: repository, tag → tagRecord. Written by setTag and deleteTag, together with tableTagged.
	tableTags backend.Table = "tags"
	// tableTagged: repository, digest of the manifest, tag → mark. The tag points at the manifest.
	tableTagged backend.Table = "tagged"
	// tableRoots: repository, digest of the manifest → rootRecord. Somebody brought the manifest in by its digest: it needs
	// no tag to stay. It is a table and not a field of the manifest's record so that a listing reads the few roots alone,
	// and so that an older program, which knows nothing of it, leaves it as it is.
	tableRoots backend.Table = "roots"
	// tableParents: digest of the child, repository, digest of the parent → mark. The parent is a stored manifest, mostly an
	// index, and names what may be a manifest.
	tableParents backend.Table = "parents"
	// tableReferrers: repository, digest of the subject, digest of the manifest → its OCI descriptor with artifact type
	// and annotations, as the referrers API answers it.
	tableReferrers backend.Table = "referrers"
	// tableRecency: repository, digest of a manifest → recencyRecord. Written now and then, see [recency]. That of a blob
	// is in its link.
	tableRecency backend.Table = "recency"
	// tableState: kind, key → what the mirror noted for itself, as it wrote it; see [mirror.StateStore].
	tableState backend.Table = "notes"
)

const (
	// schemaVersion changes when an older program could no longer read or keep the index right.
	schemaVersion = 3
	schemaKey     = "schema"
	clockKey      = "clock"
)

type schemaRecord struct {
	Version int `json:"version"`
	// Migrating says that an index of an older version is being changed into this one.
	Migrating bool `json:"migrating,omitempty"`
}

type repoRecord struct {
	Origin  mirror.Origin `json:"origin"` // of its first manifest
	Created time.Time     `json:"created"`
}

type blobRecord struct {
	Size  int64     `json:"size"`
	Added time.Time `json:"added"`
}

type linkRecord struct {
	Added time.Time `json:"added"`
	Used  time.Time `json:"used,omitzero"` // when it was read, asked about or added again; see [recency]
	// Announced says that nothing but a manifest from an upstream says so: who writes one can name any blob, also one that
	// only another repository may read.
	Announced bool `json:"announced,omitempty"`
	// Sent says that the upstream of the repository has sent the blob, which was verified: what it then says of its other
	// repositories is more than a name.
	Sent bool `json:"sent,omitempty"`
}

type manifestRecord struct {
	MediaType    string          `json:"mediaType"`
	Size         int64           `json:"size"`
	Origin       mirror.Origin   `json:"origin"`
	Added        time.Time       `json:"added"`
	ArtifactType string          `json:"artifactType,omitempty"`
	Subject      digest.Digest   `json:"subject,omitempty"`
	Blobs        []digest.Digest `json:"blobs,omitempty"`    // each once; what a push must bring
	Children     []digest.Digest `json:"children,omitempty"` // of an index, by the media types of manifests; need not be stored
	Owned        []digest.Digest `json:"owned,omitempty"`    // all else that it names; blobs or manifests, need not be stored
}

// named are all digests that the manifest names.
func (r *manifestRecord) named() iter.Seq[digest.Digest] {
	return func(yield func(digest.Digest) bool) {
		for _, list := range [...][]digest.Digest{r.Blobs, r.Owned, r.Children} {
			for _, d := range list {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// linked are those that the manifest's repository has a link to, which may be an announced one.
func (r *manifestRecord) linked() []digest.Digest { return slices.Concat(r.Blobs, r.Owned) }

// manifests are those that may be manifests.
func (r *manifestRecord) manifests() []digest.Digest { return slices.Concat(r.Children, r.Owned) }

type useRecord struct {
	Size int64 `json:"size"` // as the manifest says; -1 if it does not
	// Owned says that the manifest does not need the file.
	Owned bool `json:"owned,omitempty"`
}

type tagRecord struct {
	Digest  digest.Digest `json:"digest"`
	Origin  mirror.Origin `json:"origin"`
	Updated time.Time     `json:"updated"`
	Checked time.Time     `json:"checked,omitzero"`
}

type rootRecord struct {
	Added time.Time `json:"added"`
}

type recencyRecord struct {
	Used time.Time `json:"used"`
}

// content is something in a repository, for maps in memory.
type content struct {
	repo   mirror.Repo
	digest digest.Digest
}

func (c content) key() string { return key(c.repo.String(), c.digest.String()) }

// key joins the parts of a key.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

// prefix returns what keys begin with that have these parts and at least one more.
func prefix(parts ...string) string { return key(parts...) + "\x00" }

// cutKey returns the first part of a key and the rest of it.
func cutKey(key string) (first, rest string, found bool) { return strings.Cut(key, "\x00") }

// lastPart returns the last part of a key.
func lastPart(key string) string { return key[strings.LastIndexByte(key, 0)+1:] }

// mark is the value of an entry that says everything by its key.
var emptyValue = []byte("{}")

func parentKey(child digest.Digest, index content) string {
	return key(child.String(), index.repo.String(), index.digest.String())
}

func taggedKey(c content, tag string) string { return key(c.repo.String(), c.digest.String(), tag) }

func linkKey(repo mirror.Repo, d digest.Digest) string { return key(d.String(), repo.String()) }

func useKey(file digest.Digest, repo mirror.Repo, manifest digest.Digest) string {
	return key(file.String(), repo.String(), manifest.String())
}
