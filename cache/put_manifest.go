package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// PutManifest implements [mirror.ManifestStore]. The detail of [mirror.CodeManifestBlobUnknown] is a list of missing
// digests, in the order of the manifest, up to maxMissing of them.
//
// A manifest that is already stored gets the new tags, and the new origin if that ranks higher: a pushed manifest stays
// pushed even if an upstream has the same one.
func (s *Store) PutManifest(ctx context.Context, repo mirror.Repo, m mirror.Manifest, tags ...string) error {
	p, err := newManifestWrite(repo, m, s.Now(), tags)
	if err != nil {
		return err
	}
	if m.Origin != mirror.Mirrored && !mirror.UsageIgnored(ctx) { // a mirrored manifest is stored because a client requested it, which records the use
		p.onExisting = s.useManifest
	}
	p.named = s.named
	err = s.putManifest(ctx, p, m)
	for range maxPuts - 1 {
		if errors.Is(err, errFileDeleted) {
			err = s.putManifest(ctx, p, m)
		}
	}
	return explain(err, "put manifest %s to %s", m.Digest, repo)
}

// maxPuts is how often a manifest is put whose file another node deletes at the same time.
const maxPuts = 4

func (s *Store) putManifest(ctx context.Context, p *manifestWrite, m mirror.Manifest) error {
	// The check before the write makes a push of a manifest before its blobs cheap, and it leaves nothing behind.
	stored, err := s.checkBefore(ctx, p)
	if err != nil {
		return err
	}
	defer s.locks.share(m.Digest)()
	if err := s.keepBytes(ctx, m, stored); err != nil {
		return err
	}
	defer s.manifests.beginWrite(p.content)()
	defer s.tags.beginWrite(p.tags...)()
	return updateAlone(context.WithoutCancel(ctx), s.index, p.locks(), p.write)
}

// checkBefore checks the manifest and the files of its blobs, and returns the entry of the manifest's own file; the zero
// value if it is not stored.
func (s *Store) checkBefore(ctx context.Context, p *manifestWrite) (stored blobRecord, err error) {
	for range 2 {
		var records map[digest.Digest]blobRecord
		var missing error
		err := s.index.View(ctx, func(tx backend.ReadTx) (err error) {
			tx.Prefetch(p.keys())
			if stored, _, err = getRecord[blobRecord](tx, tableBlobs, p.digest.String()); err != nil {
				stored = blobRecord{} // the file is written again
			}
			if p.record.Origin == mirror.Mirrored {
				return nil
			}
			records, err = storedRecords(tx, p.record.Blobs)
			missing = p.check(tx)
			return err
		})
		if err != nil {
			return stored, err
		}
		repaired, err := s.repairStored(ctx, records)
		switch {
		case err != nil:
			return stored, err
		case !repaired:
			return stored, missing
		}
	}
	return stored, nil // the transaction that writes the manifest checks again
}

// keys are the keys that the transaction reads.
func (p *manifestWrite) keys() iter.Seq[backend.Key] {
	return func(yield func(backend.Key) bool) {
		for k := range blobKeys(p.repo, p.record.Blobs...) {
			if !yield(k) {
				return
			}
		}
		if p.named != nil && !yield(p.named.Row(p.digest)) {
			return
		}
		for _, k := range []backend.Key{{Table: tableBlobs, Key: p.digest.String()}, {Table: tableManifests, Key: p.key()}} {
			if !yield(k) {
				return
			}
		}
		for _, name := range p.tags {
			if !yield(backend.Key{Table: tableTags, Key: name.key()}) {
				return
			}
		}
	}
}

// keepBytes writes the manifest's file, unless the index has it with the same content; stored is its entry there.
func (s *Store) keepBytes(ctx context.Context, m mirror.Manifest, stored blobRecord) error {
	if stored != (blobRecord{}) {
		if blob, err := s.openStored(ctx, m.Digest, stored); err == nil {
			data, err := readVerifiedBlob(blob, m.Digest)
			blob.Close()
			if err == nil && bytes.Equal(data, m.Bytes) {
				return nil
			}
		}
	}
	w, err := s.blobs.Create(ctx, m.Digest.Algorithm(), "")
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.ReadFrom(bytes.NewReader(m.Bytes)); err != nil {
		return err
	}
	return w.Commit(ctx, m.Digest)
}

// manifestWrite is a manifest that is about to be written to the index.
type manifestWrite struct {
	content
	record     manifestRecord
	blobs      []v1.Descriptor // the blobs in record, with their sizes
	owned      []v1.Descriptor // the owned digests in record, with their sizes
	children   []v1.Descriptor // the children in record, with their sizes
	referrer   v1.Descriptor   // its descriptor in the referrers API, if it has a subject
	tags       []tagName
	at         time.Time
	repoOrigin mirror.Origin // the origin of the repository, if that is created
	// anyRepo allows blobs that are stored and not linked to the repository yet, as in an import.
	anyRepo bool
	// grant gives the repository access to a blob that the manifest needs. It is link if a client or a bundle provided
	// the blob, and announce for a mirrored manifest: the upstream has sent only the manifest, and the repository may
	// read the blob once the upstream is known to have it.
	grant func(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error
	// extra are digests that came in a bundle with the manifest. The repository may read them although the manifest
	// does not need them.
	extra []digest.Digest
	alone bool            // no other update runs
	named backend.Indexed // see [Store]
	// onExisting is called in the transaction if the manifest is already stored; may be nil.
	onExisting func(backend.WriteTx, content) error
}

// newManifestWrite checks everything that does not need the index.
func newManifestWrite(repo mirror.Repo, m mirror.Manifest, at time.Time, tags []string) (*manifestWrite, error) {
	if originRank(m.Origin) == 0 {
		return nil, fmt.Errorf("put manifest %s to %s: %q is not an origin", m.Digest, repo, m.Origin)
	}
	if len(m.Bytes) > mirror.MaxManifestSize {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "manifest is larger than %d bytes", mirror.MaxManifestSize)
	}
	if _, err := mirror.ParseDigest(m.Digest.String()); err != nil {
		return nil, err
	}
	if actual := m.Digest.Algorithm().FromBytes(m.Bytes); actual != m.Digest {
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "manifest has digest %s, not %s", actual, m.Digest)
	}
	p := &manifestWrite{content: content{repo, m.Digest}, at: at, repoOrigin: m.Origin, grant: link}
	if m.Origin == mirror.Mirrored {
		p.grant = announce
	}
	for _, tag := range tags {
		if !mirror.ValidTag(tag) {
			return nil, mirror.Errorf(mirror.CodeManifestInvalid, "%q is not a tag", tag)
		}
		p.tags = append(p.tags, tagName{repo, tag})
	}
	mediaType, refs, err := mirror.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		return nil, err
	}
	p.record = manifestRecord{
		MediaType:    mediaType,
		Size:         int64(len(m.Bytes)),
		Origin:       m.Origin,
		Added:        p.at,
		ArtifactType: refs.ArtifactType,
	}
	return p, p.addReferences(refs)
}

// addReferences adds what the manifest names, each digest once.
func (p *manifestWrite) addReferences(refs mirror.References) error {
	sizes := make(map[digest.Digest]int64, len(refs.Blobs))
	for _, blob := range refs.Blobs {
		size, seen := sizes[blob.Digest]
		if seen && size != blob.Size && p.record.Origin != mirror.Mirrored {
			return errSize(blob, size)
		}
		if !seen {
			sizes[blob.Digest] = blob.Size
			p.record.Blobs = append(p.record.Blobs, blob.Digest)
			p.blobs = append(p.blobs, blob)
		}
	}
	for role, desc := range refs.Owned() {
		if _, seen := sizes[desc.Digest]; seen {
			continue
		}
		sizes[desc.Digest] = desc.Size
		if role == mirror.RoleManifest {
			p.record.Children = append(p.record.Children, desc.Digest)
			p.children = append(p.children, desc)
		} else {
			p.record.Owned = append(p.record.Owned, desc.Digest)
			p.owned = append(p.owned, desc)
		}
	}
	if refs.Subject != nil {
		p.record.Subject = refs.Subject.Digest
		p.referrer = v1.Descriptor{
			MediaType:    p.record.MediaType,
			Digest:       p.digest,
			Size:         p.record.Size,
			ArtifactType: refs.ArtifactType,
			Annotations:  refs.Annotations,
		}
	}
	return nil
}
