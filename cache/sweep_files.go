package cache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// deleteWorkers is the number of files that are deleted at the same time. A deletion waits for the journal of the file
// system rather than for a processor, and for other changes of the same folder.
const deleteWorkers = 8

// sweptFile is a file whose entry a sweep has deleted.
type sweptFile struct {
	job     *sweepJob
	digest  digest.Digest
	size    int64 // bytes freed
	deleted bool  // false without an error: the file was missing, or the index names it again
	err     error
}

// deleteFiles deletes files whose entries were deleted, except those that the index names again. It sets the result of
// each file.
func (s *Store) deleteFiles(ctx context.Context, swept []sweptFile) {
	slices.SortFunc(swept, func(a, b sweptFile) int { return strings.Compare(string(a.digest), string(b.digest)) })
	var free, busy []*sweptFile
	for i := range swept {
		if s.locks.lockNow(swept[i].digest) {
			free = append(free, &swept[i])
		} else {
			busy = append(busy, &swept[i])
		}
	}
	s.deleteLocked(ctx, free)
	for _, f := range free {
		s.locks.unlock(f.digest)
	}
	for _, f := range busy { // waits for a lock, so it holds no other
		f.size, f.deleted, f.err = s.deleteFile(ctx, f.digest, nil)
	}
	for i := range swept {
		s.locks.setDeleting(swept[i].digest, false)
	}
}

// deleteLocked deletes files, ordered by digest, that are not in the index. Their digests are locked. Each worker has
// its own range of digests, so that few folders are changed by two of them.
func (s *Store) deleteLocked(ctx context.Context, locked []*sweptFile) {
	err := s.index.View(ctx, func(tx backend.ReadTx) error {
		locked = slices.DeleteFunc(slices.Clone(locked), func(f *sweptFile) bool { return has(tx, tableBlobs, f.digest.String()) })
		return nil
	})
	if err != nil {
		for _, f := range locked {
			f.err = err
		}
		return
	}
	var workers sync.WaitGroup
	for part := range slices.Chunk(locked, max(1, (len(locked)+deleteWorkers-1)/deleteWorkers)) {
		workers.Go(func() {
			for _, f := range part {
				f.size, f.deleted, f.err = s.removeFile(ctx, f.digest)
			}
		})
	}
	workers.Wait()
}

// removeFile deletes the file of d, whose digest is locked. A missing file is no error.
func (s *Store) removeFile(ctx context.Context, d digest.Digest) (size int64, deleted bool, err error) {
	size, err = s.blobs.Stat(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return 0, false, nil
	}
	if err == nil {
		err = s.blobs.Delete(ctx, d)
	}
	return size, err == nil, err
}

// startDeleting deletes files in the background. The next transaction need not wait for them: their digests are marked
// as being deleted. It waits for the files of the transaction before.
func (w *sweeper) startDeleting(ctx context.Context, swept []sweptFile) {
	w.awaitDeleting()
	if len(swept) == 0 {
		return
	}
	for _, f := range swept {
		f.job.deleting++
	}
	w.swept, w.sweptDone = swept, make(chan struct{})
	go func() {
		defer close(w.sweptDone)
		w.store.deleteFiles(ctx, swept)
	}()
}

// awaitDeleting waits for the files that are being deleted, and adds them to the results of their jobs.
func (w *sweeper) awaitDeleting() {
	if w.sweptDone == nil {
		return
	}
	<-w.sweptDone
	for _, f := range w.swept {
		f.job.deleting--
		switch {
		case f.err != nil:
			w.fail(fmt.Errorf("delete the file of blob %s, which is not in the index any more: %w", f.digest, f.err))
		case f.deleted:
			f.job.result.Blobs = append(f.job.result.Blobs, f.digest)
			f.job.result.Bytes += f.size
		}
	}
	w.swept, w.sweptDone = nil, nil
}
