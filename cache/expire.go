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
			held := mirror.UploadInfo{ID: begun.ID, Repo: begun.Label, Size: begun.Size, Written: s.clock.written(begun.Written), Open: s.uploads.taken(begun.ID)}
			if !yield(held, explain(err, "list uploads")) {
				return
			}
		}
	}
}

// ExpireUpload implements [mirror.CollectStore].
func (s *Store) ExpireUpload(ctx context.Context, id string, idle time.Time) (expired bool, err error) {
	s.starting.Lock()
	release := s.uploads.try(id)
	s.starting.Unlock()
	if release == nil {
		return false, nil
	}
	defer release()
	expired, err = s.blobs.Discard(ctx, id, func(written time.Time) bool { return s.clock.written(written).Before(idle) })
	return expired, explain(err, "drop upload %s", id)
}

// ProtectPartial implements [mirror.ImportStore].
func (s *Store) ProtectPartial(id string) (release func()) { return s.uploads.reserve(id) }
