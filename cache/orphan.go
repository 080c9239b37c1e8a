package cache

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// fileBatch is the number of files that one view compares with the index. Callers continue outside of the view, because
// they may wait for a writer that waits for the view.
const fileBatch = 4096

// Orphans implements [mirror.CollectStore].
func (s *Store) Orphans(ctx context.Context) iter.Seq2[mirror.Orphan, error] {
	return func(yield func(mirror.Orphan, error) bool) {
		for d, err := range s.unindexedFiles(ctx) {
			var orphan mirror.Orphan
			orphaned := false
			if err == nil {
				orphan, orphaned, err = s.isOrphan(ctx, d)
			}
			if (orphaned || err != nil) && !yield(orphan, explain(err, "list orphaned files")) {
				return
			}
		}
	}
}

// unindexedFiles yields the files that are not in the index, in order. It yields errors and continues. Both lists are in
// the same order, so it reads the index once.
func (s *Store) unindexedFiles(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		batch, last := make([]digest.Digest, 0, fileBatch), digest.Digest("")
		flush := func() bool {
			if len(batch) == 0 {
				return true
			}
			missing, err := s.unindexed(ctx, last, batch)
			batch, last = batch[:0], batch[len(batch)-1]
			for _, d := range missing {
				if !yield(d, nil) {
					return false
				}
			}
			return err == nil || yield("", err)
		}
		for d, err := range s.blobs.All(ctx) {
			if err != nil {
				if !yield("", err) {
					return
				}
				continue
			}
			if batch = append(batch, d); len(batch) == fileBatch && !flush() {
				return
			}
		}
		flush()
	}
}

// unindexed returns those of the files that are not in the index. The files are in order, and greater than after.
func (s *Store) unindexed(ctx context.Context, after digest.Digest, files []digest.Digest) (missing []digest.Digest, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		indexed := newCursor(tx, tableBlobs, after.String())
		defer indexed.stop()
		for _, d := range files {
			if !indexed.seek(d.String()) {
				missing = append(missing, d)
			}
		}
		return nil
	})
	return missing, err
}

// indexed reports whether d has an entry in the index.
func (s *Store) indexed(ctx context.Context, d digest.Digest) (found bool, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		found = has(tx, tableBlobs, d.String())
		return nil
	})
	return found, err
}

// isOrphan reports whether the file of d exists and is not in the index. The digest is locked meanwhile. A file that is
// about to be indexed or deleted is not an orphan. Neither is a protected one: an import whose process died during the
// commit of a partial blob continues with that file, see [Store.ResumeBlob].
func (s *Store) isOrphan(ctx context.Context, d digest.Digest) (orphan mirror.Orphan, orphaned bool, err error) {
	if s.fence.isProtected(d) {
		return orphan, false, nil
	}
	release := s.locks.tryLock(d)
	if release == nil {
		return orphan, false, nil
	}
	defer release()
	if indexed, err := s.indexed(ctx, d); err != nil || indexed || s.locks.isDeleting(d) { // a sweep may have deleted the entry since tryLock
		return orphan, false, err
	}
	file, err := s.blobs.Describe(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return orphan, false, nil
	}
	file.Written = s.clock.fileTime(file.Written)
	return mirror.Orphan(file), err == nil, err
}

// DeleteOrphan implements [mirror.CollectStore].
func (s *Store) DeleteOrphan(ctx context.Context, d digest.Digest, before time.Time) (deleted bool, err error) {
	if s.named != nil {
		err := s.index.Update(ctx, blobLocks(mirror.Repo{}, d), func(tx backend.WriteTx) (err error) {
			deleted = false
			if !has(tx, tableBlobs, d.String()) && !s.fence.isProtected(d) {
				_, deleted, err = s.named.Remove(tx, d, s.keptSince(before))
			}
			return err
		})
		return deleted && err == nil, explain(err, "delete blob %s", d)
	}
	_, deleted, err = s.deleteFile(ctx, d, func() (bool, error) {
		file, err := s.blobs.Describe(ctx, d)
		return s.clock.fileTime(file.Written).Before(before) && !s.fence.isProtected(d), err
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
	if indexed, err := s.indexed(ctx, d); err != nil || indexed {
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
