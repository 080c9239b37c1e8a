package cache

import (
	"context"
	"iter"
	"time"

	"airmirror/mirror"
)

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
	return expired, explain(err, "drop upload %s", id)
}

// ProtectPartial implements [mirror.ImportStore].
func (s *Store) ProtectPartial(id string) (release func()) { return s.uploads.reserve(id) }
