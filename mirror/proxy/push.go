package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// pusher stores what clients push.
type pusher struct {
	store     mirror.Store
	content   *content
	routing   *routing
	downloads *downloads
	writes    *writes
	wants     *wants
	pushes    *recentPushes
	large     *largePushes
}

// PutManifest stores a pushed manifest, byte for byte, and points its tags at it. It returns the manifest and what it
// names. A manifest that is not accepted is a [mirror.CodeManifestInvalid], a [mirror.CodeDigestInvalid] or a
// [mirror.CodeManifestBlobUnknown].
//
// PutManifest waits for an upstream in one case: if the manifest names blobs that are not stored and that a mirrored
// manifest of the same repository names. StatBlob told the client that it need not push those.
func (p *pusher) PutManifest(ctx context.Context, put mirror.Put) (mirror.Manifest, mirror.References, error) {
	if put.Size() > mirror.MaxManifestSize {
		return mirror.Manifest{}, mirror.References{}, mirror.Errorf(mirror.CodeManifestTooLarge, "manifest is larger than %d bytes", mirror.MaxManifestSize)
	}
	if err := p.writes.room(int64(put.Size())); err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	done, err := p.large.acquire(ctx, put.Size())
	if err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	defer done()
	man, refs, err := parsePut(&put)
	if err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	err = p.store.PutManifest(ctx, put.Repo, man, put.Tags...)
	done() // before an upstream is waited for
	if mirror.CodeOf(err) == mirror.CodeManifestBlobUnknown && p.large.reserve(ctx, put.Size()) {
		if p.fetchReferenced(ctx, put.Repo, refs) {
			err = p.store.PutManifest(ctx, put.Repo, man, put.Tags...)
		}
		p.large.release(ctx, put.Size())
	}
	if err == nil {
		p.wants.remove(put.Repo, man.Digest, put.Tags...)
	}
	return man, refs, err
}

// parsePut reads the bytes of a pushed manifest and checks its digest and media type.
func parsePut(put *mirror.Put) (man mirror.Manifest, refs mirror.References, err error) {
	if put.Spool != nil {
		if put.Bytes, err = put.Spool.Bytes(); err != nil {
			return man, refs, err
		}
	}
	algorithm := digest.Canonical
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	man = mirror.Manifest{Digest: algorithm.FromBytes(put.Bytes), Bytes: put.Bytes, Origin: mirror.Pushed}
	if put.Digest != "" && put.Digest != man.Digest {
		return man, refs, mirror.Errorf(mirror.CodeDigestInvalid, "the manifest's digest is %s, the request says %s", man.Digest, put.Digest)
	}
	man.MediaType, refs, err = mirror.ParseManifest(put.MediaType, put.Bytes)
	return man, refs, err
}

// fetchReferenced downloads the blobs of refs that a mirrored manifest of repo names. It reports whether there were any
// and all of them are stored.
func (p *pusher) fetchReferenced(ctx context.Context, repo mirror.Repo, refs mirror.References) (fetched bool) {
	for _, desc := range refs.Blobs {
		if stat, err := p.store.StatBlob(ctx, repo, desc.Digest); err != nil || stat.Stored && stat.Linked || !stat.Referenced {
			continue
		}
		if p.routing.requestable(ctx, repo) != nil {
			return false
		}
		dl, _, err := p.downloads.subscribe(ctx, repo, desc.Digest, byClient)
		if err != nil {
			return false
		}
		err = dl.waitStored(ctx)
		p.downloads.unsubscribe(dl, byClient)
		if err != nil {
			return false
		}
		fetched = true
	}
	return fetched
}

// TagDigests returns what the tags point at now, without those that are not stored, for a log of what a push moves.
func (p *pusher) TagDigests(ctx context.Context, repo mirror.Repo, tags ...string) map[string]digest.Digest {
	var digests map[string]digest.Digest
	for _, name := range tags {
		if tag, err := p.store.Tag(mirror.WithoutUsage(ctx), repo, name); err == nil {
			if digests == nil {
				digests = make(map[string]digest.Digest)
			}
			digests[name] = tag.Digest
		}
	}
	return digests
}

// Spool reads the body of a manifest from r onto the disk, up to one byte more than a manifest may have. It returns the
// error of r as it is.
func (p *pusher) Spool(ctx context.Context, r io.Reader) (*mirror.Spool, error) {
	if err := p.writes.room(mirror.MaxManifestSize); err != nil {
		return nil, err
	}
	in, err := p.store.Receive(ctx, "")
	if err != nil {
		return nil, err
	}
	return mirror.ReadSpool(in, r)
}

// Delete deletes a manifest with the tags that point at it or, for a reference by tag, that tag.
func (p *pusher) Delete(ctx context.Context, ref mirror.Ref) error {
	if err := p.writes.allowed(); err != nil {
		return err
	}
	if ref.Digest != "" {
		return p.store.DeleteManifest(ctx, ref.Repo, ref.Digest)
	}
	return p.store.DeleteTag(ctx, ref.Repo, ref.Tag)
}

// DeleteBlob makes blob d unreadable in repo; see [mirror.BlobStore].
func (p *pusher) DeleteBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	if err := p.writes.allowed(); err != nil {
		return err
	}
	return p.store.Unlink(ctx, repo, d)
}
