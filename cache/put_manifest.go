package cache

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// PutManifest implements [mirror.ManifestStore]. The detail of a [mirror.CodeManifestBlobUnknown] is the list of missing
// digests, in the order of the manifest: the first maxMissing of them.
//
// A manifest that is held already gets the new tags, and the new origin if that is a stronger one: what was pushed
// stays pushed, even if an upstream has the same.
func (s *Store) PutManifest(ctx context.Context, repo mirror.Repo, m mirror.Manifest, tags ...string) error {
	p, err := newManifestWrite(repo, m, s.Now(), tags)
	if err != nil {
		return err
	}
	if m.Origin != mirror.Mirrored && !mirror.UsageIgnored(ctx) { // an upstream's is asked for by itself
		p.onExisting = func() { s.recency.touch(p.content) }
	}
	if m.Origin != mirror.Mirrored {
		if err := s.checkStored(ctx, p.record.Blobs...); err != nil {
			return explain(err, "put manifest %s to %s", m.Digest, repo)
		}
	}
	defer s.locks.share(m.Digest)()
	// Look before anything is written: a push that comes before its blobs should cost nothing and leave nothing.
	err = s.index.View(ctx, p.check)
	if err == nil {
		err = s.keepBytes(ctx, m)
	}
	if err != nil {
		return explain(err, "put manifest %s to %s", m.Digest, repo)
	}
	defer s.manifests.beginWrite(p.content)()
	defer s.tags.beginWrite(p.tags...)()
	err = s.index.Update(context.WithoutCancel(ctx), p.write)
	return explain(err, "put manifest %s to %s", m.Digest, repo)
}

// keepBytes makes the manifest's file durable. One with the same bytes that the index knows is durable already.
func (s *Store) keepBytes(ctx context.Context, m mirror.Manifest) error {
	if data, err := s.readStoredManifest(ctx, m.Digest); err == nil && bytes.Equal(data, m.Bytes) {
		return nil
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

// putting is a manifest on its way into the index.
type manifestWrite struct {
	content
	record     manifestRecord
	blobs      []v1.Descriptor // as in record, with sizes
	owned      []v1.Descriptor // the same
	children   []v1.Descriptor // the same
	referrer   v1.Descriptor   // what the referrers API says of it, if it has a subject
	tags       []tagName
	at         time.Time
	repoOrigin mirror.Origin // of the repository, if there is none yet
	// anywhere: its blobs came for it, and need not be linked to the repository yet.
	anyRepo bool
	// grant lets a repository read a blob that the manifest points at: link if somebody brought it, or vouches for it;
	// announce if an upstream sent no more than the manifest, until it is known to have the blob there as well.
	grant func(tx backend.WriteTx, repo mirror.Repo, d digest.Digest, at time.Time) error
	// with is what came with the manifest, in a bundle, so that its repository may read it though it does not need it.
	extra      []digest.Digest
	onExisting func() // called in the transaction if the manifest is there already; nil does nothing
}

// newManifestWrite checks everything that can be checked without the index.
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

// refer takes over what the manifest points at, each digest once.
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
