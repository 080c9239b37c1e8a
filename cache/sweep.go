package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const (
	// sweepTime is how long a transaction of a sweep should be, from its first read until it is durable, where pushes may
	// wait for it. It is well under what is promised, since the disk may be slower the next time. Half of it is for
	// reading, which says when nothing of a plan holds any more.
	sweepTime = 25 * time.Millisecond
	// sweepBatch is how many are gathered for a transaction of that time.
	sweepBatch = 128
	// The number of writes in a transaction begins small, since the speed of the disk is not known then. A later sweep
	// begins with what an earlier one came to: a collection is many of them.
	sweepWritesFirst, sweepWritesMost, sweepWritesLeast = 64, 1 << 20, 16
	// sweepErrors is how many things that cannot be read or removed the error of a sweep names.
	sweepErrors = 8
)

// Sweep implements [mirror.CollectStore].
func (s *Store) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	w := newSweeper(s, done)
	gather := sweepBatch * w.scale()
	for c := range requests {
		w.jobs = append(w.jobs, &sweepJob{DeleteRequest: c})
		for len(w.jobs) >= gather {
			if err := w.runRound(ctx); err != nil {
				return w.end(err)
			}
		}
	}
	for len(w.jobs) > 0 {
		if err := w.runRound(ctx); err != nil {
			return w.end(err)
		}
	}
	return w.end(nil)
}

// sweeper is one sweep.
type sweeper struct {
	store   *Store
	done    func(mirror.DeleteResult)
	jobs    []*sweepJob   // those that have not ended, in order
	time    time.Duration // how long a transaction should be
	writes  int           // how many a transaction may do
	started bool          // a transaction went before

	failures []error // the first few things that could not be read or removed
	failed   int     // how many could not
}

func newSweeper(s *Store, done func(mirror.DeleteResult)) *sweeper {
	w := &sweeper{store: s, done: done, time: s.options.SweepTime, writes: int(s.sweepWrites.Load())}
	if w.writes == 0 {
		w.writes = sweepWritesFirst * w.scale()
	}
	return w
}

// scale is how many times longer than usual a transaction may be.
func (w *sweeper) scale() int { return max(1, int(w.time/sweepTime)) }

// sweepJob is a [mirror.DeleteRequest] on its way.
type sweepJob struct {
	mirror.DeleteRequest
	decided   bool // its tags and manifests were judged
	blobsDone int  // how many of its blobs were
	result    mirror.DeleteResult
}

// round runs one transaction over as many jobs as it has time for, and then removes the files.
func (w *sweeper) runRound(ctx context.Context) error {
	if err := w.yieldToWriters(ctx); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	tx, took, err := w.runTransaction(ctx)
	var failed *sweepFailure
	if errors.As(err, &failed) {
		w.skip(failed)
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	w.adapt(tx.count, took)
	w.store.sweepWrites.Store(int64(w.writes))
	// What was taken from the index goes, whoever stops the sweep now.
	ctx = context.WithoutCancel(ctx)
	for i, outcome := range tx.outcomes {
		job := w.jobs[i]
		job.decided, job.blobsDone = true, outcome.blobs
		result := &job.result
		if outcome.decided {
			result.Kept, result.Tags, result.Manifests = outcome.kept, outcome.tags, outcome.manifests
		}
		result.Longest = max(result.Longest, took)
		for _, d := range outcome.removed {
			w.deleteFile(ctx, result, d)
		}
	}
	w.finish()
	return nil
}

// pass leaves a job out that met a record that cannot be read: it would keep everything else from being swept, for ever.
func (w *sweeper) skip(failed *sweepFailure) {
	job := w.jobs[failed.job]
	if !job.decided {
		job.result.Kept = failed.Error()
	}
	job.decided, job.blobsDone = true, len(job.Blobs)
	w.fail(failed)
	w.finish()
}

// fail keeps the first few errors.
func (w *sweeper) fail(err error) {
	if w.failed++; w.failed <= sweepErrors {
		w.failures = append(w.failures, err)
	}
}

// yield lets writers that wait have a transaction before the next one of the sweep: they would share it otherwise, and
// wait for all of it. Updates are run in the order in which they came, so that is over when this one has nothing to do.
func (w *sweeper) yieldToWriters(ctx context.Context) error {
	if !w.started {
		w.started = true
		return ctx.Err()
	}
	return w.store.index.Update(ctx, func(backend.WriteTx) error { return nil })
}

// commit runs the transaction and returns what it did and how long it was.
func (w *sweeper) runTransaction(ctx context.Context) (tx *sweepTx, took time.Duration, err error) {
	s := w.store
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	manifests, tags := w.cachedKeys()
	defer s.manifests.beginWrite(manifests...)()
	defer s.tags.beginWrite(tags...)()
	s.fence.begin()
	defer s.fence.end()
	leaving := make(map[digest.Digest]bool)
	err = s.index.Update(ctx, func(index backend.WriteTx) error {
		tx = &sweepTx{WriteTx: index, store: s, deleting: leaving, began: time.Now(), reads: w.time / 2, most: w.writes}
		return tx.run(w.jobs)
	})
	if err == nil {
		took = time.Since(tx.began)
		for _, outcome := range tx.outcomes {
			for _, d := range outcome.removed {
				delete(leaving, d)
			}
		}
	}
	for d := range leaving { // taken out by a run that was taken back
		s.locks.setDeleting(d, false)
	}
	return tx, took, err
}

// names returns what may be in memory of what the jobs take out.
func (w *sweeper) cachedKeys() (manifests []content, tags []tagName) {
	for _, job := range w.jobs {
		if job.decided {
			continue
		}
		for _, m := range job.Manifests {
			manifests = append(manifests, content{job.Repo, m.Digest})
		}
		for _, tag := range job.Tags {
			tags = append(tags, tagName{job.Repo, tag.Name})
		}
	}
	return manifests, tags
}

// adapt makes transactions as long as they should be on this disk, given that count writes took so long. It goes down in
// steps, since a disk is slow now and then for other reasons.
func (w *sweeper) adapt(count int, took time.Duration) {
	switch {
	case took > w.time*5/4:
		w.writes = max(min(w.writes, count)*2/3, sweepWritesLeast)
	case took < w.time && count >= w.writes:
		w.writes = min(w.writes*5/4, sweepWritesMost)
	}
}

// remove deletes the file of what was taken from the index.
func (w *sweeper) deleteFile(ctx context.Context, result *mirror.DeleteResult, d digest.Digest) {
	defer w.store.locks.setDeleting(d, false)
	size, removed, err := w.store.deleteFile(ctx, d, nil)
	if err != nil {
		w.fail(fmt.Errorf("remove the file of blob %s, which nothing names any more: %w", d, err))
		return
	}
	if removed {
		result.Blobs = append(result.Blobs, d)
		result.Bytes += size
	}
}

// finish reports the jobs that have ended.
func (w *sweeper) finish() {
	n := 0
	for n < len(w.jobs) && w.jobs[n].decided && w.jobs[n].blobsDone == len(w.jobs[n].Blobs) {
		if w.done != nil {
			w.done(w.jobs[n].result)
		}
		n++
	}
	clear(w.jobs[:n])
	w.jobs = append(w.jobs[:0:0], w.jobs[n:]...)
}

func (w *sweeper) end(err error) error {
	if more := w.failed - len(w.failures); more > 0 {
		w.failures = append(w.failures, fmt.Errorf("and %d more failures like these", more))
	}
	return errors.Join(append([]error{err}, w.failures...)...)
}
