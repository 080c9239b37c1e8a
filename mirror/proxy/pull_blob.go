package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Blob opens blob d of repo: the stored blob or, on a miss, a reader of its download, which returns bytes as they
// arrive. That reader fails if the transfer fails. If the bytes do not match the digest, it fails before the last byte.
// If the upstream does not state the size, the size is -1, and a method Whole of the reader waits for it. A method
// AddTotal announces the spans that a client requests. Reads fail when ctx ends. If there is no blob, the error is a
// [mirror.CodeBlobUnknown] whose message says why.
func (p *puller) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	blob, err := p.store.Blob(ctx, repo, d)
	if err == nil {
		blob, err = p.content.verified(ctx, repo, d, blob)
	}
	if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		p.counters.blobs.hit(err)
		return blob, err
	}
	lost := p.content.discard(repo, err)
	if long, ok := p.routing.longName(ctx, repo); ok {
		return p.Blob(ctx, long, d)
	}
	p.counters.blobs.misses.Add(1)
	ref := mirror.Ref{Repo: repo, Digest: d}
	missed := func(reason error) error {
		return p.wants.missed(ctx, mirror.CodeBlobUnknown, ref, p.recovery.lostBlob(ctx, ref, lost, reason))
	}
	if err := p.routing.requestable(ctx, repo); err != nil {
		return mirror.Blob{}, missed(err)
	}
	if err, ok := p.absent.Get(blobKey(ref)); ok {
		return mirror.Blob{}, missed(err)
	}
	return p.download(ctx, ref, missed)
}

// download opens a reader of the download of a blob. missed makes the error of a miss.
func (p *puller) download(ctx context.Context, ref mirror.Ref, missed func(reason error) error) (mirror.Blob, error) {
	repo, d := ref.Repo, ref.Digest
	dl, joined, err := p.downloads.subscribe(ctx, repo, d, byClient)
	if err != nil {
		return mirror.Blob{}, err
	}
	p.backfill.blobPulled(ctx, repo, d)
	state, size, err := dl.waitStarted(ctx)
	if err != nil && joined && ctx.Err() == nil { // the download may have failed before this client joined
		p.downloads.unsubscribe(dl, byClient)
		if dl, _, err = p.downloads.subscribe(ctx, repo, d, byClient); err != nil {
			return mirror.Blob{}, err
		}
		state, size, err = dl.waitStarted(ctx)
	}
	unsubscribe := func() { p.downloads.unsubscribe(dl, byClient) }
	if err == nil && state != downloadStored {
		return dl.reader(ctx, size, besides{
			passthrough: func(off int64) (mirror.Blob, error) { return p.downloads.passthrough(ctx, repo, d, off) },
			span: func(ctx context.Context, s mirror.Span) (io.ReadCloser, error) {
				return p.downloads.span(ctx, repo, d, s, size)
			},
		}, unsubscribe)
	}
	unsubscribe()
	switch {
	case err != nil && ctx.Err() != nil:
		return mirror.Blob{}, err
	case isStoreError(err):
		return p.downloads.passthrough(ctx, repo, d, 0)
	case err != nil:
		p.absent.remember(blobKey(ref), err)
		return mirror.Blob{}, missed(err)
	default:
		return p.store.Blob(ctx, repo, d)
	}
}

// StatBlob returns the size of blob d of repo in bytes. If the blob is not stored, StatBlob asks the upstream only for
// clients that pull. A client pulls if a stored manifest names the blob, or if the upstream has just answered that no
// manifest has this digest, because containerd looks up digests in this order. All other clients are taken to push.
// They do not wait for an upstream, and must upload blobs that only the upstream has, although Blob would fetch such
// blobs. If there is no blob, the error is a [mirror.CodeBlobUnknown] whose message says why.
func (p *puller) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	stat, err := p.content.stat(ctx, repo, d)
	switch {
	case err != nil:
		return 0, err
	case stat.Stored && stat.Linked:
		return stat.Size, nil
	}
	if long, ok := p.routing.longName(ctx, repo); ok {
		return p.StatBlob(ctx, long, d)
	}
	ref := mirror.Ref{Repo: repo, Digest: d}
	if _, noManifest := p.absent.Get(ref.String()); !stat.Referenced && !noManifest {
		return 0, mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored in %s", d, repo)
	}
	if err := p.routing.requestable(ctx, repo); err != nil {
		return 0, p.wants.missed(ctx, mirror.CodeBlobUnknown, ref, p.recovery.lostBlob(ctx, ref, nil, err))
	}
	if err, ok := p.absent.Get(blobKey(ref)); ok {
		return 0, p.wants.missed(ctx, mirror.CodeBlobUnknown, ref, err)
	}
	size, err := p.downloads.statUpstream(ctx, repo, d)
	switch {
	case err == nil:
		return size, nil
	case ctx.Err() != nil: // the client has disconnected: record no want
		return 0, ctx.Err()
	}
	p.absent.remember(blobKey(ref), err)
	return 0, p.wants.missed(ctx, mirror.CodeBlobUnknown, ref, err)
}
