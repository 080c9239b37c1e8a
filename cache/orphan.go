package cache

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// orphanBatch is the number of files that one view compares with the index. The callback is not called inside a view,
// because it may wait for a writer that waits for the view.
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
			return err == nil || yield(mirror.Orphan{}, explain(err, "list orphaned files"))
		}
		for entry, err := range s.blobs.All(ctx) {
			if err != nil {
				if !yield(mirror.Orphan{}, explain(err, "list orphaned files")) {
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

// unindexed returns the files that are not in the index.
func (s *Store) unindexed(ctx context.Context, files []mirror.Orphan) (missing []mirror.Orphan, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		for _, file := range files {
			if !has(tx, tableBlobs, file.Digest.String()) {
				missing = append(missing, file)
			}
		}
		return nil
	})
	return missing, err
}

// isOrphan reports whether the file of d exists and is not in the index. The digest is locked meanwhile. A file that is
// about to be indexed or deleted is not an orphan. Neither is a protected one: an import whose process died during the
// commit of a partial blob continues with that file, see [Store.ResumeBlob].
func (s *Store) isOrphan(ctx context.Context, d digest.Digest) (bool, error) {
	if s.fence.isProtected(d) {
		return false, nil
	}
	release := s.locks.tryLock(d)
	if release == nil {
		return false, nil
	}
	defer release()
	if missing, err := s.unindexed(ctx, []mirror.Orphan{{Digest: d}}); err != nil || len(missing) == 0 {
		return false, err
	}
	_, err := s.blobs.Stat(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	return err == nil, err
}

// DeleteOrphan implements [mirror.CollectStore].
func (s *Store) DeleteOrphan(ctx context.Context, d digest.Digest, before time.Time) (deleted bool, err error) {
	_, deleted, err = s.deleteFile(ctx, d, func() (bool, error) {
		written, err := s.blobs.Written(ctx, d)
		return s.clock.fileTime(written).Before(before) && !s.fence.isProtected(d), err
	})
	return deleted, explain(err, "delete the file of blob %s", d)
}

// deleteFile deletes the file of d, unless it is in the index by now or allowed reports false. It waits until no
// goroutine is about to index the file. A missing file is no error. size is the number of bytes freed.
func (s *Store) deleteFile(ctx context.Context, d digest.Digest, allowed func() (bool, error)) (size int64, removed bool, err error) {
	release, err := s.locks.lock(ctx, d)
	if err != nil {
		return 0, false, err
	}
	defer release()
	if missing, err := s.unindexed(ctx, []mirror.Orphan{{Digest: d}}); err != nil || len(missing) == 0 {
		return 0, false, err
	}
	if allowed != nil {
		ok, err := allowed()
		if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
			return 0, false, nil
		}
		if err != nil || !ok {
			return 0, false, err
		}
	}
	return s.removeFile(ctx, d)
}
