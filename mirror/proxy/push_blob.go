package proxy

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// StartUpload starts the upload of a blob into repo; see [mirror.UploadStore].
func (p *pusher) StartUpload(ctx context.Context, repo mirror.Repo, algorithm digest.Algorithm) (mirror.Upload, error) {
	if err := p.writes.room(0); err != nil {
		return nil, err
	}
	up, err := p.store.StartUpload(ctx, repo, algorithm)
	return p.wrap(repo, up, err)
}

// Upload opens an upload that was started before; see [mirror.UploadStore].
func (p *pusher) Upload(ctx context.Context, repo mirror.Repo, id string) (mirror.Upload, error) {
	if err := p.writes.allowed(); err != nil {
		return nil, err
	}
	up, err := p.store.Upload(ctx, repo, id)
	return p.wrap(repo, up, err)
}

func (p *pusher) wrap(repo mirror.Repo, up mirror.Upload, err error) (mirror.Upload, error) {
	if err != nil {
		return nil, err
	}
	return &upload{up, p, repo}, nil
}

// upload is an upload that checks the capacity and removes the wants for its blob.
type upload struct {
	mirror.Upload
	pusher *pusher
	repo   mirror.Repo
}

// Append implements [mirror.Upload]. It fails when there is no room for more.
func (u *upload) Append(r io.Reader) (int64, error) {
	return u.Upload.Append(&capacityReader{Reader: r, room: u.pusher.writes.room})
}

// Commit implements [mirror.Upload].
func (u *upload) Commit(ctx context.Context, d digest.Digest) error {
	err := u.Upload.Commit(ctx, d)
	if err == nil {
		u.pusher.pushes.add(ctx, u.repo)
		u.pusher.wants.blobStored(u.repo, d)
	}
	return err
}

// Mount makes blob d, which is stored for from, readable in repo. With a zero from, it may be stored for any repository.
// If there is none, or it is damaged, the error is a [mirror.CodeBlobUnknown], and the client pushes the blob.
func (p *pusher) Mount(ctx context.Context, repo, from mirror.Repo, d digest.Digest) error {
	if err := p.writes.room(0); err != nil {
		return err
	}
	p.content.check(ctx, from, d)
	_, err := p.store.Mount(ctx, repo, from, d)
	if long, ok := p.routing.longName(ctx, from); ok && mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		_, err = p.store.Mount(ctx, repo, long, d)
	}
	if err == nil {
		p.pushes.add(ctx, repo)
		p.wants.remove(repo, d)
	}
	return err
}

const (
	// maxRecentPushes is how many pushes are remembered, and recentPushTTL for how long.
	maxRecentPushes = 1024
	recentPushTTL   = 10 * time.Minute
)

// recentPushes remembers which clients pushed blobs into which repositories.
type recentPushes struct {
	store mirror.Store
	cache *ttlCache[struct{}]
}

func newRecentPushes(store mirror.Store) *recentPushes {
	return &recentPushes{store, newTTLCache[struct{}](maxRecentPushes, recentPushTTL)}
}

// add records that the client of ctx pushed a blob into repo. Starting an upload does not count, since it costs nothing.
func (p *recentPushes) add(ctx context.Context, repo mirror.Repo) {
	p.cache.Add(pushKey(ctx, repo), struct{}{})
}

func pushKey(ctx context.Context, repo mirror.Repo) string {
	return repo.String() + " " + mirror.ClientOf(ctx)
}

// creates reports whether the client of ctx is about to create repo by a push. Its requests for manifests are answered
// from the store, so that no push waits for an upstream. Other clients are still served from the upstream, so that a
// client cannot hide an image from them with a push that never ends.
func (p *recentPushes) creates(ctx context.Context, repo mirror.Repo) bool {
	if _, pushing := p.cache.Get(pushKey(ctx, repo)); !pushing {
		return false
	}
	_, err := p.store.RepoOrigin(ctx, repo)
	return mirror.CodeOf(err) == mirror.CodeNameUnknown
}
