package cache

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// The tables of the index. A key consists of parts joined by a NUL byte, which occurs in no repository, tag or digest;
// so the keys of one repository are adjacent. A repository is written as by [mirror.Repo.String]. A value is a record;
// its type follows the arrow. In the file, keys and records are binary: see package packed, keyLayouts, and
// record_form.go. The records in meta and notes and the descriptors in referrers are JSON.
//
// The following invariants hold between the tables. Each transaction that could violate one checks it.
//
//   - A manifest uses every digest in its JSON, stored or not: the blobs that it needs, other digests that it owns, and the
//     children of an index. See [mirror.References].
//   - A use of a needed or owned blob implies a link in the same repository: a blob cannot be unlinked while a manifest
//     names it. Naming a digest does not grant access to it. The link is marked as announced, which grants no access,
//     unless the repository already had a link, or a pushed or imported manifest needs the blob, or the blob was in a
//     bundle together with its manifest. For a mirrored manifest, the upstream decides whether the repository may read
//     a blob.
//   - A link implies that the blob is stored, or that a manifest of the repository uses it.
//   - All blobs that a pushed or imported manifest needs are stored; other digests that it owns may be missing. Blobs
//     that a mirrored manifest needs may be missing. It is complete when its repository may read every blob in its
//     record, and its children are complete.
//   - A manifest has an entry in blobs for its own file, and uses it.
//   - A tag points at a manifest of its repository, and has an entry in tagged.
//   - A manifest has an entry in parents for each of its children and for each owned digest, which may be a manifest,
//     stored or not.
//   - A root is a manifest of its repository.
//
// A collector may delete an entry in blobs that has no link and no use. Before anything else is deleted, the deleting
// transaction scans one prefix to check that it is unused: the uses of a blob, or the tags and the parents of a
// manifest.
//
// A file without an entry in blobs is an orphan. It is left by a crash between writing a file and adding its entry, or
// between deleting an entry and deleting its file. Orphans are invisible. A file is written before its entry. It is
// deleted after its entry, while its digest is locked: see [digestLocks].
const (
	// tableMeta: "schema" → schemaRecord; "clock" → clockRecord.
	tableMeta backend.Table = "meta"
	// tableRepos: repository → repoRecord. Written with the first manifest. It remains when the last manifest is
	// deleted, so that a local repository remains local: otherwise an upstream could take over its name. A sweep
	// deletes the record of a repository that is not local and has no manifests.
	tableRepos backend.Table = "repos"
	// tableBlobs: digest → blobRecord, for every stored file, including manifests.
	tableBlobs backend.Table = "blobs"
	// tableLinks: digest, repository → linkRecord. The repository may read the blob, unless the link is only announced.
	// The digest is the first part so that one scan finds all repositories of a blob.
	tableLinks backend.Table = "links"
	// tableManifests: repository, digest → manifestRecord.
	tableManifests backend.Table = "manifests"
	// tableUses: digest of a file, repository, digest of the manifest → useRecord. The manifest names the file, which
	// may be a blob, a manifest or missing; or it is the manifest's own file.
	tableUses backend.Table = "uses"
	// tableTags: repository, tag → tagRecord. setTag and deleteTag write it together with tableTagged.
	tableTags backend.Table = "tags"
	// tableTagged: repository, digest of the manifest, tag → emptyValue. The tag points at the manifest.
	tableTagged backend.Table = "tagged"
	// tableRoots: repository, digest of the manifest → rootRecord. The manifest was added by its digest and needs no
	// tag to be kept. This is a table, and not a field of manifestRecord, so that a list reads only the roots, and so
	// that an older program preserves the root.
	tableRoots backend.Table = "roots"
	// tableParents: digest of the child, repository, digest of the parent → emptyValue. The parent is a stored
	// manifest, usually an index, that names a digest which may be a manifest.
	tableParents backend.Table = "parents"
	// tableReferrers: repository, digest of the subject, digest of the manifest → OCI descriptor of the manifest, with
	// artifact type and annotations, as the referrers API returns it.
	tableReferrers backend.Table = "referrers"
	// tableRecency: repository, digest of a manifest → recencyRecord. Written in batches, see [recency]. The last use
	// of a blob is in its link.
	tableRecency backend.Table = "recency"
	// tableState: kind, key → a value of [mirror.StateStore], unchanged.
	tableState backend.Table = "notes"
)

// keyLayouts are the parts of keys. The keys of other tables are stored as text. The names of repositories in repos are,
// too, so that they can be listed in order.
var keyLayouts = map[backend.Table]packed.Layout{
	tableBlobs:     {packed.Digest},
	tableLinks:     {packed.Digest, packed.Repo},
	tableManifests: {packed.Repo, packed.Digest},
	tableUses:      {packed.Digest, packed.Repo, packed.Digest},
	tableTags:      {packed.Repo, packed.Text},
	tableTagged:    {packed.Repo, packed.Digest, packed.Text},
	tableRoots:     {packed.Repo, packed.Digest},
	tableParents:   {packed.Digest, packed.Repo, packed.Digest},
	tableReferrers: {packed.Repo, packed.Digest, packed.Digest},
	tableRecency:   {packed.Repo, packed.Digest},
}

const (
	// schemaVersion is increased when an older program could not read or maintain the index any more.
	// Version 2 added the parents of manifests, the tags by manifest, and the last use of blobs in their links. Version 3
	// added the digests that manifests own. Version 4 stores keys and records in binary; before, both were text. Version 5
	// adds the platforms that configs state to the records of blobs.
	schemaVersion = 5
	// sameForm is the oldest version whose records this program reads and writes in place, without a migration.
	sameForm  = 4
	schemaKey = "schema"
	clockKey  = "clock"
)

type schemaRecord struct {
	Version int `json:"version"`
	// Migrating marks an index of version 2 or 3 whose migration from an older version has not finished.
	Migrating bool `json:"migrating,omitempty"`
}

type repoRecord struct {
	Origin  mirror.Origin `json:"origin"` // the origin of its first manifest
	Created time.Time     `json:"created"`
}

type blobRecord struct {
	Size  int64     `json:"size"`
	Added time.Time `json:"added"`
	// Platform is what the blob states if it is the config of an image; see [Store.platformStated]. "" says nothing: the
	// blob may be a config that was added before version 5 of the schema.
	Platform string `json:"platform,omitempty"`
}

type linkRecord struct {
	Added time.Time `json:"added"`
	Used  time.Time `json:"used,omitzero"` // the last time it was read, looked up or added again; see [recency]
	// Announced marks a link that exists only because a mirrored manifest names the blob. The repository may not read
	// it: a manifest can name any blob, including one that only another repository may read.
	Announced bool `json:"announced,omitempty"`
	// Sent marks a blob that the upstream of the repository sent and that was then verified. This proves that the
	// upstream has the blob, so its answers about the blob in its other repositories can be trusted.
	Sent bool `json:"sent,omitempty"`
}

type manifestRecord struct {
	MediaType    string          `json:"mediaType"`
	Size         int64           `json:"size"`
	Origin       mirror.Origin   `json:"origin"`
	Added        time.Time       `json:"added"`
	ArtifactType string          `json:"artifactType,omitempty"`
	Subject      digest.Digest   `json:"subject,omitempty"`
	Blobs        []digest.Digest `json:"blobs,omitempty"`    // without duplicates; a push must upload these first
	Children     []digest.Digest `json:"children,omitempty"` // children of an index, by media type; may be missing
	Owned        []digest.Digest `json:"owned,omitempty"`    // every other digest it names, blob or manifest; may be missing
}

// named yields all digests that the manifest names.
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

// linked returns the digests to which the manifest's repository has a link, announced or not.
func (r *manifestRecord) linked() []digest.Digest { return slices.Concat(r.Blobs, r.Owned) }

// manifests returns the digests that may be manifests.
func (r *manifestRecord) manifests() []digest.Digest { return slices.Concat(r.Children, r.Owned) }

type useRecord struct {
	Size int64 `json:"size"` // according to the manifest; -1 if it does not say
	// Owned marks a file that the manifest names and does not need.
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

// content identifies a blob or manifest in a repository. It is a key of maps in memory.
type content struct {
	repo   mirror.Repo
	digest digest.Digest
}

func (c content) key() string { return key(c.repo.String(), c.digest.String()) }

// key joins the parts of a key.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

// prefix returns the common prefix of all keys that begin with these parts and have at least one more.
func prefix(parts ...string) string { return key(parts...) + "\x00" }

// cutKey splits a key after its first part.
func cutKey(key string) (first, rest string, found bool) { return strings.Cut(key, "\x00") }

// lastPart returns the last part of a key.
func lastPart(key string) string { return key[strings.LastIndexByte(key, 0)+1:] }

func parentKey(child digest.Digest, index content) string {
	return key(child.String(), index.repo.String(), index.digest.String())
}

func taggedKey(c content, tag string) string { return key(c.repo.String(), c.digest.String(), tag) }

func linkKey(repo mirror.Repo, d digest.Digest) string { return key(d.String(), repo.String()) }

func useKey(file digest.Digest, repo mirror.Repo, manifest digest.Digest) string {
	return key(file.String(), repo.String(), manifest.String())
}
