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
	// sweepTime is the target duration of a transaction of a sweep, from its first read until it is durable, while other
	// writers wait for it. Half of it is for reads: if the content has changed since the plan was made, a transaction
	// may only read.
	sweepTime = 25 * time.Millisecond
	// sweepIdle is how many times longer a transaction may be while no other writer waits. A long transaction costs
	// less: it writes each page of the index once.
	sweepIdle = 4
	// sweepBatch is the number of requests that are collected for a transaction of that duration, and sweepBatchMost for
	// any.
	sweepBatch, sweepBatchMost = 512, 8192
	// The number of writes in a transaction starts low, because the speed of the disk is unknown. Later sweeps start
	// with the number that an earlier one reached: a collection consists of many sweeps.
	sweepWritesFirst, sweepWritesMost, sweepWritesLeast = 64, 1 << 20, 16
	// sweepGrowth is the most by which a transaction may have more writes than the one before.
	sweepGrowth = 4
	// sweepErrors is the maximum number of failures in the error of a sweep.
	sweepErrors = 8
)

// Sweep implements [mirror.CollectStore].
func (s *Store) Sweep(ctx context.Context, requests iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	w := newSweeper(s, done)
	gather := min(sweepBatch*w.scale(), sweepBatchMost)
	for c := range requests {
		c.Before = s.keptSince(c.Before)
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

// keptSince returns the time since which a blob counts as fresh: other nodes rely on the grace period.
func (s *Store) keptSince(before time.Time) time.Time {
	if grace := s.Now().Add(-s.options.Grace); s.shared && grace.Before(before) {
		return grace
	}
	return before
}

// sweeper is a run of [Store.Sweep].
type sweeper struct {
	store   *Store
	done    func(mirror.DeleteResult)
	jobs    []*sweepJob   // requests that are not checked completely, in order
	ending  []*sweepJob   // requests before them, whose files may still be being deleted
	time    time.Duration // target duration of a transaction
	writes  int           // maximum writes in a transaction for which others wait
	waiting func() bool   // reports whether another writer waits
	started bool          // a transaction has run

	swept     []sweptFile   // the files that are being deleted
	sweptDone chan struct{} // closed when they are; nil if there are none

	failures []error // the first few records and files that could not be read or deleted
	failed   int     // number of failures
}

func newSweeper(s *Store, done func(mirror.DeleteResult)) *sweeper {
	w := &sweeper{store: s, done: done, time: s.options.SweepTime, writes: int(s.sweepWrites.Load()), waiting: func() bool { return true }}
	if queue, ok := s.index.(backend.Queue); ok {
		w.waiting = queue.Waiting
	}
	if w.writes == 0 {
		w.writes = sweepWritesFirst * w.scale()
	}
	return w
}

// scale returns how many times longer than sweepTime a transaction may be.
func (w *sweeper) scale() int { return max(1, int(w.time/sweepTime)) }

// sweepJob is the progress of a [mirror.DeleteRequest].
type sweepJob struct {
	mirror.DeleteRequest
	decided   bool // its tags and manifests were checked
	blobsDone int  // number of its blobs that were checked
	deleting  int  // number of its files that are being deleted
	result    mirror.DeleteResult
}

// runRound runs one transaction for as many jobs as it has time for, and starts to delete the files.
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
	var swept []sweptFile
	for i, outcome := range tx.outcomes {
		job := w.jobs[i]
		job.decided, job.blobsDone = true, outcome.blobs
		result := &job.result
		if outcome.decided {
			result.Kept, result.Tags, result.Manifests = outcome.kept, outcome.tags, outcome.manifests
		}
		result.Longest = max(result.Longest, took)
		for _, f := range outcome.deleted {
			result.Blobs, result.Bytes = append(result.Blobs, f.digest), result.Bytes+f.size
		}
		for _, d := range outcome.removed {
			swept = append(swept, sweptFile{job: job, digest: d})
		}
	}
	w.startDeleting(context.WithoutCancel(ctx), swept) // even if the sweep is canceled now
	w.finish()
	return nil
}

// skip ends a job that failed because a record cannot be decoded. Otherwise one such record would block all sweeps.
func (w *sweeper) skip(failed *sweepFailure) {
	job := w.jobs[failed.job]
	if !job.decided {
		job.result.Kept = failed.Error()
	}
	job.decided, job.blobsDone = true, len(job.Blobs)
	w.fail(failed)
	w.finish()
}

// fail collects the first few errors.
func (w *sweeper) fail(err error) {
	if w.failed++; w.failed <= sweepErrors {
		w.failures = append(w.failures, err)
	}
}

// yieldToWriters runs waiting writers before the next transaction of the sweep. Otherwise they would be committed
// together with it and wait for all of it. Updates run in order, so they have run when this empty one returns.
func (w *sweeper) yieldToWriters(ctx context.Context) error {
	if !w.started {
		w.started = true
		return ctx.Err()
	}
	return w.store.index.Update(ctx, backend.Locks{}, func(backend.WriteTx) error { return nil })
}

// runTransaction runs one transaction and returns what it did and how long it took.
func (w *sweeper) runTransaction(ctx context.Context) (tx *sweepTx, took time.Duration, err error) {
	s := w.store
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	manifests, tags := w.cachedKeys()
	defer s.manifests.beginWrite(manifests...)()
	defer s.tags.beginWrite(tags...)()
	s.fence.begin()
	defer s.fence.end()
	deleting := make(map[digest.Digest]bool)
	err = s.index.Update(ctx, backend.Locks{}, func(index backend.WriteTx) error {
		tx = &sweepTx{WriteTx: index, store: s, deleting: deleting, waiting: w.waiting, began: time.Now(), reads: w.time / 2, most: w.writes}
		return tx.run(w.jobs)
	})
	if err == nil {
		took = time.Since(tx.began)
		for _, outcome := range tx.outcomes {
			for _, d := range outcome.removed {
				delete(deleting, d)
			}
		}
	}
	for d := range deleting { // marked by a run of the function that was repeated
		s.locks.setDeleting(d, false)
	}
	return tx, took, err
}

// cachedKeys returns the keys that the jobs may delete and that may be cached.
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

// adapt adjusts the number of writes in a transaction to the speed of the disk, given that count writes took so long.
// It reduces the number in steps, because a disk may be slow for other reasons; a transaction that had little to do says
// nothing. Each transaction has fixed costs, so the number can grow with the time that was left.
func (w *sweeper) adapt(count int, took time.Duration) {
	perWrite := float64(took) / float64(max(count, 1))
	switch full := perWrite * float64(w.writes); {
	case count < w.writes/2:
	case full > float64(w.time)*1.25:
		w.writes = max(w.writes*2/3, sweepWritesLeast)
	case full < float64(w.time):
		growth := min(sweepGrowth, max(1.25, 0.9*float64(w.time)/max(full, 1)))
		w.writes = min(int(float64(w.writes)*growth), sweepWritesMost)
	}
}

// finish reports the finished jobs.
func (w *sweeper) finish() {
	n := 0
	for n < len(w.jobs) && w.jobs[n].decided && w.jobs[n].blobsDone == len(w.jobs[n].Blobs) {
		n++
	}
	w.ending = append(w.ending, w.jobs[:n]...)
	w.jobs = append(w.jobs[:0:0], w.jobs[n:]...)
	for len(w.ending) > 0 && w.ending[0].deleting == 0 {
		if w.done != nil {
			w.done(w.ending[0].result)
		}
		w.ending[0] = nil
		w.ending = w.ending[1:]
	}
}

// end waits for the files that are being deleted, and returns all errors.
func (w *sweeper) end(err error) error {
	w.awaitDeleting()
	w.finish()
	if more := w.failed - len(w.failures); more > 0 {
		w.failures = append(w.failures, fmt.Errorf("and %d more failures like these", more))
	}
	return errors.Join(append([]error{err}, w.failures...)...)
}
