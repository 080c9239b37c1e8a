package proxy

import (
	"context"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// PutManifest stores a pushed manifest to the byte and points its tags at it. It returns the manifest and what it points
// at. [mirror.CodeManifestInvalid], [mirror.CodeDigestInvalid] and [mirror.CodeManifestBlobUnknown] say what is wrong with it.
//
// It waits for an upstream in one case only: when blobs are missing that a mirrored manifest of the same repository
// announced, and of which [Proxy.StatBlob] therefore told the client that it need not push them.
func (m *Proxy) PutManifest(ctx context.Context, put mirror.Put) (mirror.Manifest, mirror.References, error) {
	if put.Size() > mirror.MaxManifestSize {
		return mirror.Manifest{}, mirror.References{}, mirror.Errorf(mirror.CodeManifestTooLarge, "manifest is larger than %d bytes", mirror.MaxManifestSize)
	}
	if err := m.room(int64(put.Size())); err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	done, err := m.pushLarge(ctx, put.Size())
	if err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	defer done()
	if put.Spool != nil {
		if put.Bytes, err = put.Spool.Bytes(); err != nil {
			return mirror.Manifest{}, mirror.References{}, err
		}
	}
	algorithm := digest.Canonical
	if put.Digest != "" {
		algorithm = put.Digest.Algorithm()
	}
	man := mirror.Manifest{MediaType: put.MediaType, Digest: algorithm.FromBytes(put.Bytes), Bytes: put.Bytes, Origin: mirror.Pushed}
	if put.Digest != "" && put.Digest != man.Digest {
		return mirror.Manifest{}, mirror.References{}, mirror.Errorf(mirror.CodeDigestInvalid, "the manifest's digest is %s, the request says %s", man.Digest, put.Digest)
	}
	var refs mirror.References
	if man.MediaType, refs, err = mirror.ParseManifest(put.MediaType, put.Bytes); err != nil {
		return mirror.Manifest{}, mirror.References{}, err
	}
	err = m.store.PutManifest(ctx, put.Repo, man, put.Tags...)
	done() // an upstream can take its time
	if mirror.CodeOf(err) == mirror.CodeManifestBlobUnknown && m.mayWait(ctx, put.Size()) {
		if m.fetchAnnounced(ctx, put.Repo, refs) {
			err = m.store.PutManifest(ctx, put.Repo, man, put.Tags...)
		}
		m.waited(ctx, put.Size())
	}
	if err == nil {
		m.wants.fulfilled(put.Repo, man.Digest, put.Tags...)
	}
	return man, refs, err
}

// TagDigests returns what those of tags point at that are held in repo, for who wants to tell what a push moves.
func (m *Proxy) TagDigests(ctx context.Context, repo mirror.Repo, tags ...string) map[string]digest.Digest {
	var at map[string]digest.Digest
	for _, name := range tags {
		if tag, err := m.store.Tag(mirror.WithoutUsage(ctx), repo, name); err == nil {
			if at == nil {
				at = make(map[string]digest.Digest)
			}
			at[name] = tag.Digest
		}
	}
	return at
}

// maxLargeLine is how many pushes of large manifests may wait for their turn.
const maxLargeLine = 64

// pushLarge waits until a manifest of so many bytes may be taken in: what it points at is in memory until it is stored, and
// the store writes one after another anyway. Each client has a share of those that wait. done may be called more than once.
func (m *Proxy) pushLarge(ctx context.Context, size int) (done func(), err error) {
	if size <= mirror.LargeManifest {
		return func() {}, nil
	}
	who := mirror.ClientOf(ctx)
	if !m.largeLine.Take(who, 1) {
		return nil, mirror.Errorf(mirror.CodeTooManyRequests, "there are too many pushes of large manifests at a time: try again in a moment")
	}
	defer m.largeLine.Give(who, 1)
	select {
	case m.largePushes <- struct{}{}:
		return sync.OnceFunc(func() { <-m.largePushes }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxLargeWaits is how many bytes of large manifests, whose pushes wait for blobs from an upstream, may be in memory.
const maxLargeWaits = 32 << 20

// mayWait reports whether a pushed manifest of so many bytes may stay in memory until an upstream has sent its blobs.
// waited is called after that.
func (m *Proxy) mayWait(ctx context.Context, size int) bool {
	return size <= mirror.LargeManifest || m.largeWaits.Take(mirror.ClientOf(ctx), int64(size))
}

func (m *Proxy) waited(ctx context.Context, size int) {
	if size > mirror.LargeManifest {
		m.largeWaits.Give(mirror.ClientOf(ctx), int64(size))
	}
}

// fetchAnnounced brings in the blobs of refs that mirrored manifests of repo announced, and reports whether there was one.
func (m *Proxy) fetchAnnounced(ctx context.Context, repo mirror.Repo, refs mirror.References) (fetched bool) {
	for _, desc := range refs.Blobs {
		if stat, err := m.store.StatBlob(ctx, repo, desc.Digest); err != nil || stat.Stored && stat.Linked || !stat.Referenced {
			continue
		}
		if m.mayAsk(ctx, repo) != nil {
			return false
		}
		f, _, err := m.fly(ctx, repo, desc.Digest, stays)
		if err != nil {
			return false
		}
		err = f.landed(ctx)
		m.flights.leave(f, stays)
		if err != nil {
			return false
		}
		fetched = true
	}
	return fetched
}

// StartUpload opens an upload of a blob into repo; see [mirror.UploadStore].
func (m *Proxy) StartUpload(ctx context.Context, repo mirror.Repo, algorithm digest.Algorithm) (mirror.Upload, error) {
	if err := m.room(0); err != nil {
		return nil, err
	}
	up, err := m.store.StartUpload(ctx, repo, algorithm)
	return m.pushing(repo, up, err)
}

// Upload opens an upload again; see [mirror.UploadStore].
func (m *Proxy) Upload(ctx context.Context, repo mirror.Repo, id string) (mirror.Upload, error) {
	if err := m.mayChange(); err != nil {
		return nil, err
	}
	up, err := m.store.Upload(ctx, repo, id)
	return m.pushing(repo, up, err)
}

func (m *Proxy) pushing(repo mirror.Repo, up mirror.Upload, err error) (mirror.Upload, error) {
	if err != nil {
		return nil, err
	}
	return &pushedUpload{up, m, repo}, nil
}

// pushed remembers that the client of ctx has brought a blob for repo. To begin an upload is not enough: that costs
// nothing.
func (m *Proxy) pushed(ctx context.Context, repo mirror.Repo) {
	m.pushes.Add(pushKey(ctx, repo), struct{}{})
}

// pushKey is what a push is remembered by: its repository and the address that it comes from.
func pushKey(ctx context.Context, repo mirror.Repo) string {
	return repo.String() + " " + mirror.ClientOf(ctx)
}

// created reports whether the client of ctx is about to create repo by a push. What it asks about its manifests is
// answered from what is held, so that no push waits for an upstream. Other clients are told what the upstream has:
// nobody can hide an image from them by a push that never ends.
func (m *Proxy) created(ctx context.Context, repo mirror.Repo) bool {
	if _, pushing := m.pushes.Get(pushKey(ctx, repo)); !pushing {
		return false
	}
	_, err := m.store.RepoOrigin(ctx, repo)
	return mirror.CodeOf(err) == mirror.CodeNameUnknown
}

// pushedUpload strikes off the want that it fulfils.
type pushedUpload struct {
	mirror.Upload
	mirror *Proxy
	repo   mirror.Repo
}

// Append takes bytes in as long as there is room for them.
func (u *pushedUpload) Append(r io.Reader) (int64, error) {
	return u.Upload.Append(&roomReader{Reader: r, room: u.mirror.room})
}

func (u *pushedUpload) Commit(ctx context.Context, d digest.Digest) error {
	err := u.Upload.Commit(ctx, d)
	if err == nil {
		u.mirror.pushed(ctx, u.repo)
		u.mirror.blobCame(u.repo, d)
	}
	return err
}

// Mount makes d, which is held in from, readable in repo; with a zero from it may be held anywhere. [mirror.CodeBlobUnknown]
// where it is not, or was found damaged: the client pushes it then.
func (m *Proxy) Mount(ctx context.Context, repo, from mirror.Repo, d digest.Digest) error {
	if err := m.room(0); err != nil {
		return err
	}
	m.sound(ctx, from, d)
	_, err := m.store.Mount(ctx, repo, from, d)
	if long, ok := m.longName(ctx, from); ok && mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		_, err = m.store.Mount(ctx, repo, long, d)
	}
	if err == nil {
		m.pushed(ctx, repo)
		m.wants.fulfilled(repo, d)
	}
	return err
}

// Delete removes a manifest with the tags that point at it or, for a reference by tag, the tag alone.
func (m *Proxy) Delete(ctx context.Context, ref mirror.Ref) error {
	if err := m.mayChange(); err != nil {
		return err
	}
	if ref.Digest != "" {
		return m.store.DeleteManifest(ctx, ref.Repo, ref.Digest)
	}
	return m.store.DeleteTag(ctx, ref.Repo, ref.Tag)
}

// DeleteBlob makes d unreadable in repo; see [mirror.BlobStore].
func (m *Proxy) DeleteBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	if err := m.mayChange(); err != nil {
		return err
	}
	return m.store.Unlink(ctx, repo, d)
}
