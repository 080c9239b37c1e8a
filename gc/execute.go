package gc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"airmirror/mirror"
)

const (
	// pacedBatches and batchBlobs are how much is taken out before a rest: a few transactions.
	pacedBatches = 64
	// unpacedBatches are how much is taken out where there is no rest.
	unpacedBatches = 4096
	batchBlobs     = 256
	// maxKeptFirst is how many items a result names that stayed after all.
	maxKeptFirst = 100
)

// Execute takes out what the plan says, as far as nobody has come to need it since. It tells about each item, in the order
// in which they go, and returns what it did up to an error or the end of ctx. Only one collection should run at a time;
// everything else may go on meanwhile.
func (p *Plan) Execute(ctx context.Context, store mirror.CollectStore, tell func(Event)) (Result, error) {
	x := &execution{Plan: p, store: store, report: tell, result: Result{Began: time.Now().UTC(), Planned: p.Totals.Bytes, Budget: p.Budget, InGrace: p.InGrace}}
	err := x.deleteAll(ctx)
	if err == nil {
		err = x.deleteUploads(ctx)
	}
	if err == nil {
		err = x.deleteOrphans(ctx)
	}
	err = errors.Join(err, x.errs.err())
	x.result.Seconds = time.Since(x.result.Began).Seconds()
	if err != nil {
		err = fmt.Errorf("collect: %w", err)
		x.result.Error = err.Error()
	}
	return x.result, err
}

// Run makes a plan and executes it; see [MakePlan] and [Plan.Execute].
func Run(ctx context.Context, store mirror.CollectStore, sources Sources, opts Options, tell func(Event)) (Result, error) {
	began := time.Now().UTC()
	p, err := MakePlan(ctx, store, sources, opts, store.Now())
	if err != nil {
		return Result{Began: began, Seconds: time.Since(began).Seconds(), Error: err.Error()}, err
	}
	if opts.Planned != nil {
		opts.Planned(p)
	}
	result, err := p.Execute(ctx, store, tell)
	result.Began, result.Seconds = began, time.Since(began).Seconds()
	return result, err
}

type execution struct {
	*Plan
	store  mirror.CollectStore
	report func(Event)
	result Result
	// failures are what went wrong with single items.
	errs errorList
}

// step is something to sweep, and what to say of it.
type batch struct {
	mirror.DeleteRequest
	candidate Candidate
	sizes     []int64 // of its Blobs
}

// sweep takes out everything but uploads and orphans. The store is given a few things at a time, so that a rest between
// them is one in which it does nothing for this.
func (x *execution) deleteAll(ctx context.Context) error {
	next, stop := iter.Pull(x.batches())
	defer stop()
	items := pacedBatches
	if x.opts.Pace <= 0 {
		items = unpacedBatches
	}
	for {
		var steps []batch
		for len(steps) < items {
			s, more := next()
			if !more {
				break
			}
			steps = append(steps, s)
		}
		if len(steps) == 0 {
			return nil
		}
		began := time.Now()
		if err := x.deleteBatch(ctx, steps); err != nil {
			return err
		}
		if err := rest(ctx, time.Duration(x.opts.Pace*float64(time.Since(began)))); err != nil {
			return err
		}
	}
}

// take sweeps a few steps.
func (x *execution) deleteBatch(ctx context.Context, steps []batch) error {
	done := 0
	condemned := func(yield func(mirror.DeleteRequest) bool) {
		for _, s := range steps {
			if !yield(s.DeleteRequest) {
				return
			}
		}
	}
	err := x.store.Sweep(ctx, condemned, func(swept mirror.DeleteResult) {
		if done < len(steps) {
			x.record(steps[done], swept)
		}
		done++
	})
	if done < len(steps) {
		return err
	}
	x.errs.add(err) // everything was tried: what cannot be read is not to keep the rest
	return nil
}

// account notes what became of a step.
func (x *execution) record(s batch, swept mirror.DeleteResult) {
	r := &x.result
	r.LongestMillis = max(r.LongestMillis, swept.Longest.Seconds()*1e3)
	r.Tags += swept.Tags
	r.Manifests += swept.Manifests
	r.Blobs += len(swept.Blobs)
	r.Bytes += swept.Bytes
	if s.candidate.Kind == Blob {
		x.recordBlobs(s, swept)
		return
	}
	if len(s.Manifests) > 0 && swept.Kept == "" {
		r.Images++
	}
	s.candidate.Freed = swept.Bytes
	x.reportCandidate(s.candidate, swept.Kept)
}

// recordBlobs tells which of the blobs that no manifest used went.
func (x *execution) recordBlobs(s batch, swept mirror.DeleteResult) {
	for i, d := range s.DeleteRequest.Blobs {
		item := Candidate{Kind: Blob, Name: d.String(), Digest: d, Size: s.sizes[i], Freed: s.sizes[i], Reason: s.candidate.Reason}
		kept := ""
		if !slices.Contains(swept.Blobs, d) {
			item.Freed, kept = 0, "somebody asked for it, or it is gone already"
		}
		x.reportCandidate(item, kept)
	}
}

// say tells of an item, and notes it if it was kept.
func (x *execution) reportCandidate(item Candidate, kept string) {
	if item.Kind == "" {
		return
	}
	event := Event{item, kept}
	if kept != "" {
		if x.result.Kept++; len(x.result.KeptFirst) < maxKeptFirst {
			x.result.KeptFirst = append(x.result.KeptFirst, event)
		}
	}
	if x.report != nil {
		x.report(event)
	}
}

// steps yields what is to be swept.
func (p *Plan) batches() iter.Seq[batch] {
	return func(yield func(batch) bool) {
		before := timeOf(p.cutoff)
		if !p.blobBatches(yield) {
			return
		}
		for t := range p.deletedTags() {
			tag := p.tags.at(t)
			n := p.nodes.at(tag.node)
			if !yield(batch{candidate: p.tagCandidate(t), DeleteRequest: mirror.DeleteRequest{
				Repo: p.repos[n.repo], Tags: []mirror.ObservedTag{{Name: tag.name, Digest: n.digest.digest()}}, Before: before,
			}}) {
				return
			}
		}
		for unit := range p.deletedImages() {
			c := mirror.DeleteRequest{Repo: p.repos[p.nodes.at(p.images[unit].root).repo], Before: before, Referrers: p.removal != nil}
			for _, place := range p.members.of(unit) {
				n := p.nodes.at(place)
				c.Manifests = append(c.Manifests, mirror.ObservedManifest{Digest: n.digest.digest(), Used: timeOf(n.ownUse)})
				for _, t := range p.tagsOf.of(place) {
					c.Tags = append(c.Tags, mirror.ObservedTag{Name: p.tags.at(t).name, Digest: n.digest.digest()})
				}
			}
			if !yield(batch{candidate: p.imageCandidate(unit), DeleteRequest: c}) {
				return
			}
		}
		for _, repo := range p.emptyRepos { // is forgotten, which is nothing to tell of
			if !yield(batch{DeleteRequest: mirror.DeleteRequest{Repo: p.repos[repo], Before: before}}) {
				return
			}
		}
	}
}

// blobBatches yields the blobs that no manifest uses, some at a time, and reports whether to go on.
func (p *Plan) blobBatches(yield func(batch) bool) bool {
	s := batch{candidate: Candidate{Kind: Blob, Reason: reasonBlob}}
	flush := func() bool {
		full := s
		full.Before = timeOf(p.cutoff)
		s.DeleteRequest.Blobs, s.sizes = nil, nil
		return len(full.DeleteRequest.Blobs) == 0 || yield(full)
	}
	for _, b := range p.deletedBlobs.all() {
		if b.image != noImage {
			continue
		}
		s.DeleteRequest.Blobs, s.sizes = append(s.DeleteRequest.Blobs, b.digest.digest()), append(s.sizes, b.size)
		if len(s.DeleteRequest.Blobs) == batchBlobs && !flush() {
			return false
		}
	}
	return flush()
}

// deleteUploads drops uploads that were left.
func (x *execution) deleteUploads(ctx context.Context) error {
	idle := x.opts.staleBefore(x.now)
	for _, u := range x.uploads {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		expired, err := x.store.ExpireUpload(ctx, u.ID, idle)
		if err != nil {
			x.errs.add(fmt.Errorf("drop upload %s to %s: %w", u.ID, u.Repo, err))
			continue
		}
		item, kept := x.uploadCandidate(u), ""
		if expired {
			x.result.Uploads++
			x.result.Bytes += u.Size
		} else {
			item.Freed, kept = 0, "it goes on, or has ended"
		}
		x.reportCandidate(item, kept)
	}
	return nil
}

// deleteOrphans removes files that the index does not name.
func (x *execution) deleteOrphans(ctx context.Context) error {
	for _, o := range x.orphans {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		dropped, err := x.store.DeleteOrphan(ctx, o.Digest, timeOf(x.cutoff))
		if err != nil {
			x.errs.add(fmt.Errorf("drop orphan %s: %w", o.Digest, err))
			continue
		}
		item, kept := x.orphanCandidate(o), ""
		if dropped {
			x.result.Orphans++
			x.result.Bytes += o.Size
		} else {
			item.Freed, kept = 0, "the index names it by now"
		}
		x.reportCandidate(item, kept)
	}
	return nil
}

// rest waits, but not longer than ctx.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
