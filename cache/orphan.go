package cache

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// orphanBatch is how many files are compared with the index in one view of it. Nobody is called inside of the view, who
// could come to wait there for a writer that waits for it.
const orphanBatch = 256

// Orphans implements [mirror.CollectStore].
func (s *Store) Orphans(ctx context.Context) iter.Seq2[mirror.Orphan, error] {
	return func(yield func(mirror.Orphan, error) bool) {
		batch := make([]mirror.Orphan, 0, orphanBatch)
		flush := func() bool {
			orphans, err := s.unindexed(ctx, batch)
			batch = batch[:0]
			for _, file := range orphans {
				var orphaned bool
				if orphaned, err = s.isOrphan(ctx, file.Digest); err != nil {
					break
				}
				file.Written = s.clock.fileTime(file.Written)
				if orphaned && !yield(file, nil) {
					return false
				}
			}
			return err == nil || yield(mirror.Orphan{}, explain(err, "look for orphaned files"))
		}
		for entry, err := range s.blobs.All(ctx) {
			if err != nil {
				if !yield(mirror.Orphan{}, explain(err, "look for orphaned files")) {
					return
				}
				continue
			}
			batch = append(batch, mirror.Orphan(entry))
			if len(batch) == orphanBatch && !flush() {
				return
			}
		}
		flush()
	}
}

// unnamed returns those of files that the index does not name.
func (s *Store) unindexed(ctx context.Context, files []mirror.Orphan) (unnamed []mirror.Orphan, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		for _, file := range files {
			if !has(tx, tableBlobs, file.Digest.String()) {
				unnamed = append(unnamed, file)
			}
		}
		return nil
	})
	return unnamed, err
}

// orphaned reports whether the file of d is there and nobody names it. It keeps others from changing that meanwhile; one
// that is being named or deleted is none, nor is one that is protected: an import whose process died as it committed a
// part goes on with that file ([Store.ResumeBlob]).
func (s *Store) isOrphan(ctx context.Context, d digest.Digest) (bool, error) {
	if s.fence.isProtected(d) {
		return false, nil
	}
	release := s.locks.tryLock(d)
	if release == nil {
		return false, nil
	}
	defer release()
	if unnamed, err := s.unindexed(ctx, []mirror.Orphan{{Digest: d}}); err != nil || len(unnamed) == 0 {
		return false, err
	}
	_, err := s.blobs.Stat(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	return err == nil, err
}

// DeleteOrphan implements [mirror.CollectStore].
func (s *Store) DeleteOrphan(ctx context.Context, d digest.Digest, before time.Time) (dropped bool, err error) {
	_, dropped, err = s.deleteFile(ctx, d, func() (bool, error) {
		written, err := s.blobs.Written(ctx, d)
		return s.clock.fileTime(written).Before(before) && !s.fence.isProtected(d), err
	})
	return dropped, explain(err, "drop the file of blob %s", d)
}

// deleteFile deletes the file of d unless the index names it by now, or may says no; a file that is not there is no
// error. It waits until nobody is about to name it. size is how many bytes went.
func (s *Store) deleteFile(ctx context.Context, d digest.Digest, may func() (bool, error)) (size int64, removed bool, err error) {
	release, err := s.locks.lock(ctx, d)
	if err != nil {
		return 0, false, err
	}
	defer release()
	if unnamed, err := s.unindexed(ctx, []mirror.Orphan{{Digest: d}}); err != nil || len(unnamed) == 0 {
		return 0, false, err
	}
	if size, err = s.blobs.Stat(ctx, d); err == nil && may != nil {
		var ok bool
		if ok, err = may(); err == nil && !ok {
			return 0, false, nil
		}
	}
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return 0, false, nil
	}
	if err == nil {
		err = s.blobs.Delete(ctx, d)
	}
	return size, err == nil, err
}
