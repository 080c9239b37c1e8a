package cache

import (
	"context"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// StartUpload implements [mirror.UploadStore]. The label of the blob is the repository, so that a later process knows
// to which repository the upload belongs.
func (s *Store) StartUpload(ctx context.Context, repo mirror.Repo, algorithm digest.Algorithm) (mirror.Upload, error) {
	s.starting.RLock() // otherwise the upload could expire before it is locked
	defer s.starting.RUnlock()
	w, err := s.blobs.Create(ctx, algorithm, repo.String())
	if err != nil {
		return nil, explain(err, "start upload to %s", repo)
	}
	release, err := s.uploads.lock(ctx, w.ID())
	if err != nil { // the id is new, so it is not locked
		return nil, explain(err, "start upload to %s", repo)
	}
	return &upload{store: s, repo: repo, writer: w, release: release}, nil
}

// Upload implements [mirror.UploadStore].
func (s *Store) Upload(ctx context.Context, repo mirror.Repo, id string) (mirror.Upload, error) {
	waiting, cancel := context.WithTimeout(ctx, s.options.UploadWait)
	defer cancel()
	release, err := s.uploads.lock(waiting, id)
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUploadBusy, "upload %s is in use by another request: try again later", id)
	}
	w, err := s.blobs.Resume(ctx, id)
	if err != nil {
		release()
		return nil, explain(err, "resume upload %s to %s", id, repo)
	}
	u := &upload{store: s, repo: repo, writer: w, release: release}
	if w.Label() != repo.String() {
		if err := u.Close(); err != nil {
			return nil, err
		}
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "there is no upload %s to %s", id, repo)
	}
	return u, nil
}

// upload implements [mirror.Upload].
type upload struct {
	store   *Store
	repo    mirror.Repo
	writer  backend.Writer
	release func() // nil after unlock
}

// unlock releases the lock of the upload, once.
func (u *upload) unlock() {
	if u.release != nil {
		u.release()
		u.release = nil
	}
}

func (u *upload) ID() string  { return u.writer.ID() }
func (u *upload) Size() int64 { return u.writer.Size() }

func (u *upload) Append(r io.Reader) (int64, error) {
	n, err := u.writer.ReadFrom(r)
	return n, explain(err, "append to upload %s", u.ID())
}

func (u *upload) Commit(ctx context.Context, d digest.Digest) error {
	defer u.unlock()
	return u.store.commitBlob(ctx, u.repo, u.writer, d, u.store.linkUsed)
}

func (u *upload) Cancel() error {
	defer u.unlock()
	return explain(u.writer.Abort(), "cancel upload %s", u.ID())
}

func (u *upload) Close() error {
	if u.release == nil {
		return nil
	}
	defer u.unlock()
	return explain(u.writer.Suspend(), "suspend upload %s", u.ID())
}

// uploadLocks lock uploads by id. The zero value is ready.
type uploadLocks struct {
	mu      sync.Mutex
	entries map[string]*uploadLock
}

type uploadLock struct {
	token  chan struct{} // full while the upload is locked
	wanted int           // number of holders, waiters and reservations
}

// lock waits until id is not locked, or until ctx ends. The caller calls release once.
func (t *uploadLocks) lock(ctx context.Context, id string) (release func(), err error) {
	t.mu.Lock()
	entry := t.entries[id]
	if entry == nil {
		entry = t.add(id)
	}
	entry.wanted++
	t.mu.Unlock()

	select {
	case entry.token <- struct{}{}:
		return func() { t.unlock(id, entry) }, nil
	case <-ctx.Done():
		t.unref(id, entry)
		return nil, ctx.Err()
	}
}

// tryLock is lock without waiting: release is nil if id is locked, waited for or reserved.
func (t *uploadLocks) tryLock(id string) (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[id] != nil {
		return nil
	}
	entry := t.add(id)
	entry.wanted++
	entry.token <- struct{}{}
	return func() { t.unlock(id, entry) }
}

// reserve makes tryLock fail until release is called; lock still succeeds.
func (t *uploadLocks) reserve(id string) (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := t.entries[id]
	if entry == nil {
		entry = t.add(id)
	}
	entry.wanted++
	return sync.OnceFunc(func() { t.unref(id, entry) })
}

// isLocked reports whether tryLock would fail.
func (t *uploadLocks) isLocked(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[id] != nil
}

func (t *uploadLocks) add(id string) *uploadLock {
	if t.entries == nil {
		t.entries = make(map[string]*uploadLock)
	}
	entry := &uploadLock{token: make(chan struct{}, 1)}
	t.entries[id] = entry
	return entry
}

func (t *uploadLocks) unlock(id string, entry *uploadLock) {
	<-entry.token
	t.unref(id, entry)
}

func (t *uploadLocks) unref(id string, entry *uploadLock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if entry.wanted--; entry.wanted == 0 {
		delete(t.entries, id)
	}
}

// Uploads implements [mirror.CollectStore].
func (s *Store) Uploads(ctx context.Context) iter.Seq2[mirror.UploadInfo, error] {
	return func(yield func(mirror.UploadInfo, error) bool) {
		for begun, err := range s.blobs.Unfinished(ctx) {
			stored := mirror.UploadInfo{ID: begun.ID, Repo: begun.Label, Size: begun.Size, Written: s.clock.fileTime(begun.Written), Open: s.uploads.isLocked(begun.ID)}
			if !yield(stored, explain(err, "list uploads")) {
				return
			}
		}
	}
}

// ExpireUpload implements [mirror.CollectStore].
func (s *Store) ExpireUpload(ctx context.Context, id string, idle time.Time) (expired bool, err error) {
	s.starting.Lock()
	release := s.uploads.tryLock(id)
	s.starting.Unlock()
	if release == nil {
		return false, nil
	}
	defer release()
	expired, err = s.blobs.Discard(ctx, id, func(written time.Time) bool { return s.clock.fileTime(written).Before(idle) })
	return expired, explain(err, "delete upload %s", id)
}

// ProtectPartial implements [mirror.ImportStore].
func (s *Store) ProtectPartial(id string) (release func()) { return s.uploads.reserve(id) }
