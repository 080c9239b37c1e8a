package proxy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// storeError is a failure to store what was received, such as a full disk. Clients still get the bytes.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

func isStoreError(err error) bool {
	var failure *storeError
	return errors.As(err, &failure)
}

// transfer copies the blob of a download from its upstream into the store, until net ends.
func (ds *downloads) transfer(net context.Context, dl *download) error {
	repo, d := dl.repo, dl.key.digest
	// An earlier download may have stored the blob since the miss, maybe for another repository.
	if ds.readable(repo, d) {
		ds.finish(dl)
		return nil
	}
	stat, err := ds.store.StatBlob(mirror.WithoutUsage(ds.tasks.ctx), repo, d)
	if err != nil {
		return &storeError{err}
	}
	if err := ds.writes.room(max(0, stat.Size)); err != nil {
		return &storeError{err}
	}
	if stat.Confirmable { // it is stored, and only the right to read it is missing
		if err := ds.confirm(net, repo, d); err != nil && !isStoreError(err) {
			return err
		}
		if ds.readable(repo, d) {
			ds.finish(dl)
			return nil
		}
	}
	body, size, err := ds.upstream.Blob(net, repo, d)
	if err != nil {
		return err
	}
	defer body.Close()
	if stat.Required { // in other roles, the size in a manifest is not reliable
		if size >= 0 && size != stat.Size {
			return mirror.Errorf(mirror.CodeUnavailable, "the upstream sends %d bytes, the manifest says %d", size, stat.Size)
		}
		size = stat.Size
	}
	if err := ds.writes.capacity(max(size, 0)); err != nil {
		return &storeError{err}
	}
	in, err := ds.store.Receive(ds.tasks.ctx, d)
	if err != nil {
		return &storeError{err}
	}
	defer in.Abort()
	dl.start(in, size)
	if err := dl.receive(body, ds.writes.capacity); err != nil {
		return err
	}
	if err := in.Verify(); err != nil {
		return err
	}
	dl.verified()
	if err := in.Commit(ds.tasks.ctx, repo); err != nil {
		return &storeError{err}
	}
	ds.finish(dl)
	return nil
}

// finish ends a download whose blob is stored for its repository. It makes the blob readable in the others.
func (ds *downloads) finish(dl *download) {
	for _, repo := range dl.closeRepos() {
		if err := ds.link(repo, dl.key.digest); err != nil {
			ds.log.Error("cannot make a downloaded blob readable", zap.Stringer("repo", repo), zap.Stringer("blob", dl.key.digest), zap.Error(err))
		}
	}
	dl.stored()
}

// statUpstream asks the upstream of repo for the size of blob d, until ctx or the network ends.
func (ds *downloads) statUpstream(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	_, net := ds.network.get()
	if mirror.IsBackground(ctx) {
		net = mirror.Background(net)
	}
	net, cancel := context.WithCancel(net)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return ds.upstream.StatBlob(net, repo, d)
}

// confirm makes blob d, which the upstream of repo sent before, readable in repo, if the upstream has it there as well.
func (ds *downloads) confirm(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	if _, err := ds.statUpstream(ctx, repo, d); err != nil {
		return err
	}
	return ds.link(repo, d)
}

// link makes blob d readable in repo, whose upstream confirmed that it has the blob there.
func (ds *downloads) link(repo mirror.Repo, d digest.Digest) error {
	if err := ds.store.Confirm(ds.tasks.ctx, repo, d); err != nil {
		return &storeError{err}
	}
	return nil
}

// linkWanted makes blob d, which was stored for repo, readable in the other repositories that want it, if their upstream
// has it there as well.
func (ds *downloads) linkWanted(repo mirror.Repo, d digest.Digest) {
	ctx := ds.tasks.ctx
	for _, other := range ds.wants.repos(d) {
		stat, err := ds.store.StatBlob(mirror.WithoutUsage(ctx), other, d)
		if other == repo || err != nil || !stat.Confirmable || !stat.Referenced || ds.routing.fetchable(ctx, other) != nil {
			continue
		}
		if err := ds.confirm(ctx, other, d); err != nil {
			ds.log.Info("a wanted blob was stored for another repository only", zap.Stringer("repo", other), zap.Stringer("blob", d), zap.Error(err))
			continue
		}
		ds.wants.remove(other, d)
	}
}

// readable reports whether blob d can be read in repo. It opens the file, which may be lost or damaged.
func (ds *downloads) readable(repo mirror.Repo, d digest.Digest) bool {
	blob, err := ds.store.Blob(mirror.WithoutUsage(ds.tasks.ctx), repo, d)
	if err != nil {
		return false
	}
	blob.Close()
	return true
}
