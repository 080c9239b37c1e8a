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
	// sweepGather is how many are gathered for a transaction of that time.
	sweepGather = 128
	// The number of writes in a transaction begins small, since the speed of the disk is not known then. A later sweep
	// begins with what an earlier one came to: a collection is many of them.
	sweepWritesFirst, sweepWritesMost, sweepWritesLeast = 64, 1 << 20, 16
	// sweepErrors is how many things that cannot be read or removed the error of a sweep names.
	sweepErrors = 8
)

// Sweep implements [mirror.CollectStore].
func (s *Store) Sweep(ctx context.Context, condemned iter.Seq[mirror.DeleteRequest], done func(mirror.DeleteResult)) error {
	w := newSweeper(s, done)
	gather := sweepGather * w.scale()
	for c := range condemned {
		w.jobs = append(w.jobs, &sweepJob{DeleteRequest: c})
		for len(w.jobs) >= gather {
			if err := w.round(ctx); err != nil {
				return w.end(err)
			}
		}
	}
	for len(w.jobs) > 0 {
		if err := w.round(ctx); err != nil {
			return w.end(err)
		}
	}
	return w.end(nil)
}

// sweeper is one sweep.
type sweeper struct {
	store  *Store
	done   func(mirror.DeleteResult)
	jobs   []*sweepJob   // those that have not ended, in order
	time   time.Duration // how long a transaction should be
	writes int           // how many a transaction may do
	again  bool          // a transaction went before

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
	begun bool // its tags and manifests were judged
	blobs int  // how many of its blobs were
	swept mirror.DeleteResult
}

// round runs one transaction over as many jobs as it has time for, and then removes the files.
func (w *sweeper) round(ctx context.Context) error {
	if err := w.yield(ctx); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	tx, took, err := w.commit(ctx)
	var failed *sweepFailure
	if errors.As(err, &failed) {
		w.pass(failed)
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
		job.begun, job.blobs = true, outcome.blobs
		swept := &job.swept
		if outcome.judged {
			swept.Kept, swept.Tags, swept.Manifests = outcome.kept, outcome.tags, outcome.manifests
		}
		swept.Longest = max(swept.Longest, took)
		for _, d := range outcome.gone {
			w.remove(ctx, swept, d)
		}
	}
	w.finish()
	return nil
}

// pass leaves a job out that met a record that cannot be read: it would keep everything else from being swept, for ever.
func (w *sweeper) pass(failed *sweepFailure) {
	job := w.jobs[failed.job]
	if !job.begun {
		job.swept.Kept = failed.Error()
	}
	job.begun, job.blobs = true, len(job.Blobs)
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
func (w *sweeper) yield(ctx context.Context) error {
	if !w.again {
		w.again = true
		return ctx.Err()
	}
	return w.store.index.Update(ctx, func(backend.WriteTx) error { return nil })
}

// commit runs the transaction and returns what it did and how long it was.
func (w *sweeper) commit(ctx context.Context) (tx *sweepTx, took time.Duration, err error) {
	s := w.store
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	manifests, tags := w.names()
	defer s.manifests.begin(manifests...)()
	defer s.tags.begin(tags...)()
	s.doomed.begin()
	defer s.doomed.end()
	leaving := make(map[digest.Digest]bool)
	err = s.index.Update(ctx, func(index backend.WriteTx) error {
		tx = &sweepTx{WriteTx: index, store: s, leaving: leaving, began: time.Now(), reads: w.time / 2, most: w.writes}
		return tx.run(w.jobs)
	})
	if err == nil {
		took = time.Since(tx.began)
		for _, outcome := range tx.outcomes {
			for _, d := range outcome.gone {
				delete(leaving, d)
			}
		}
	}
	for d := range leaving { // taken out by a run that was taken back
		s.guards.leave(d, false)
	}
	return tx, took, err
}

// names returns what may be in memory of what the jobs take out.
func (w *sweeper) names() (manifests []content, tags []tagName) {
	for _, job := range w.jobs {
		if job.begun {
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
func (w *sweeper) remove(ctx context.Context, swept *mirror.DeleteResult, d digest.Digest) {
	defer w.store.guards.leave(d, false)
	size, removed, err := w.store.removeFile(ctx, d, nil)
	if err != nil {
		w.fail(fmt.Errorf("remove the file of blob %s, which nothing names any more: %w", d, err))
		return
	}
	if removed {
		swept.Blobs = append(swept.Blobs, d)
		swept.Bytes += size
	}
}

// finish reports the jobs that have ended.
func (w *sweeper) finish() {
	n := 0
	for n < len(w.jobs) && w.jobs[n].begun && w.jobs[n].blobs == len(w.jobs[n].Blobs) {
		if w.done != nil {
			w.done(w.jobs[n].swept)
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
