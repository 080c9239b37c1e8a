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
	// workTime is how long the store works between two rests: a few transactions.
	workTime = 100 * time.Millisecond
	// batchBlobs is the number of unreferenced blobs in a delete request.
	batchBlobs = 256
	// maxKeptFirst is the number of candidates in [Result.KeptFirst].
	maxKeptFirst = 100
)

// Execute deletes what the plan lists, except for what came into use since. It calls report, if it is not nil, for
// each candidate in the order of deletion. It returns what it did, even after an error or the end of ctx. Only one
// collection should run at a time; the store may be used by others meanwhile.
func (p *Plan) Execute(ctx context.Context, store mirror.CollectStore, report func(Candidate)) (Result, error) {
	x := &execution{Plan: p, store: store, report: report, result: Result{Began: time.Now().UTC(), Planned: p.Totals.Bytes, Budget: p.Budget, InGrace: p.InGrace}}
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
func Run(ctx context.Context, store mirror.CollectStore, sources Sources, opts Options, report func(Candidate)) (Result, error) {
	began := time.Now().UTC()
	p, err := MakePlan(ctx, store, sources, opts, store.Now())
	if err != nil {
		return Result{Began: began, Seconds: time.Since(began).Seconds(), Error: err.Error()}, err
	}
	if opts.Planned != nil {
		opts.Planned(p)
	}
	result, err := p.Execute(ctx, store, report)
	result.Began, result.Seconds = began, time.Since(began).Seconds()
	return result, err
}

// execution is the state of [Plan.Execute].
type execution struct {
	*Plan
	store  mirror.CollectStore
	report func(Candidate)
	result Result
	errs   errorList // of single candidates
}

// batch is a delete request with the candidate that it is for, or the blobs of several candidates.
type batch struct {
	mirror.DeleteRequest
	candidate Candidate
	sizes     []int64 // of the Blobs of the request
}

// deleteAll deletes everything but uploads and orphans, in one sweep. It rests between two requests, when the store has
// nothing else to do for the collection.
func (x *execution) deleteAll(ctx context.Context) error {
	var waiting []batch // requests without a result
	all := false        // the store has read all requests
	worked := time.Now()
	requests := func(yield func(mirror.DeleteRequest) bool) {
		for s := range x.batches() {
			if took := time.Since(worked); took > workTime {
				if rest(ctx, time.Duration(x.opts.Throttle*float64(took))) != nil {
					return
				}
				worked = time.Now()
			}
			waiting = append(waiting, s)
			if !yield(s.DeleteRequest) {
				return
			}
		}
		all = true
	}
	err := x.store.Sweep(ctx, requests, func(result mirror.DeleteResult) {
		x.record(waiting[0], result)
		waiting[0] = batch{}
		waiting = waiting[1:]
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !all || len(waiting) > 0 {
		return err
	}
	x.errs.add(err) // everything was tried: an unreadable record does not end the collection
	return nil
}

// record adds the result of a delete request.
func (x *execution) record(s batch, result mirror.DeleteResult) {
	r := &x.result
	r.LongestMillis = max(r.LongestMillis, result.Longest.Seconds()*1e3)
	r.Tags += result.Tags
	r.Manifests += result.Manifests
	r.Blobs += len(result.Blobs)
	r.Bytes += result.Bytes
	if s.candidate.Kind == Blob {
		x.recordBlobs(s, result)
		return
	}
	if len(s.Manifests) > 0 && result.Kept == "" {
		r.Images++
	}
	s.candidate.Freed = result.Bytes
	x.reportCandidate(s.candidate, result.Kept)
}

// recordBlobs reports which unreferenced blobs were deleted.
func (x *execution) recordBlobs(s batch, result mirror.DeleteResult) {
	for i, d := range s.DeleteRequest.Blobs {
		c := Candidate{Kind: Blob, Name: d.String(), Digest: d, Size: s.sizes[i], Freed: s.sizes[i], Reason: s.candidate.Reason, Code: s.candidate.Code}
		kept := ""
		if !slices.Contains(result.Blobs, d) {
			c.Freed, kept = 0, "requested since the plan, or deleted already"
		}
		x.reportCandidate(c, kept)
	}
}

// reportCandidate reports a candidate. kept is why it was kept after all, or "".
func (x *execution) reportCandidate(c Candidate, kept string) {
	if c.Kind == "" {
		return
	}
	if c.Kept = kept; kept != "" {
		if x.result.Kept++; len(x.result.KeptFirst) < maxKeptFirst {
			x.result.KeptFirst = append(x.result.KeptFirst, c)
		}
	}
	if x.report != nil {
		x.report(c)
	}
}

// batches yields the delete requests.
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
		for image := range p.deletedImages() {
			c := mirror.DeleteRequest{Repo: p.repos[p.nodes.at(p.images[image].root).repo], Before: before, Referrers: p.removal != nil}
			for _, index := range p.members.of(image) {
				n := p.nodes.at(index)
				c.Manifests = append(c.Manifests, mirror.ObservedManifest{Digest: n.digest.digest(), Used: timeOf(n.ownUse)})
				for _, t := range p.tagsOf.of(index) {
					c.Tags = append(c.Tags, mirror.ObservedTag{Name: p.tags.at(t).name, Digest: n.digest.digest()})
				}
			}
			if !yield(batch{candidate: p.imageCandidate(image), DeleteRequest: c}) {
				return
			}
		}
		for _, repo := range p.emptyRepos { // the store forgets them, which is not reported
			if !yield(batch{DeleteRequest: mirror.DeleteRequest{Repo: p.repos[repo], Before: before}}) {
				return
			}
		}
	}
}

// blobBatches yields requests for the unreferenced blobs, and reports whether to continue.
func (p *Plan) blobBatches(yield func(batch) bool) bool {
	s := batch{candidate: Candidate{Kind: Blob, Reason: reasonBlob, Code: reasonCodes[reasonBlob]}}
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

// deleteUploads deletes stale uploads.
func (x *execution) deleteUploads(ctx context.Context) error {
	stale := x.opts.staleBefore(x.now)
	for _, u := range x.uploads {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		expired, err := x.store.ExpireUpload(ctx, u.ID, stale)
		if err != nil {
			x.errs.add(fmt.Errorf("delete upload %s to %s: %w", u.ID, u.Repo, err))
			continue
		}
		c, kept := x.uploadCandidate(u), ""
		if expired {
			x.result.Uploads++
			x.result.Bytes += u.Size
		} else {
			c.Freed, kept = 0, "resumed or ended since the plan"
		}
		x.reportCandidate(c, kept)
	}
	return nil
}

// deleteOrphans deletes files that the index does not name.
func (x *execution) deleteOrphans(ctx context.Context) error {
	for _, o := range x.orphans {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		deleted, err := x.store.DeleteOrphan(ctx, o.Digest, timeOf(x.cutoff))
		if err != nil {
			x.errs.add(fmt.Errorf("delete orphan %s: %w", o.Digest, err))
			continue
		}
		c, kept := x.orphanCandidate(o), ""
		if deleted {
			x.result.Orphans++
			x.result.Bytes += o.Size
		} else {
			c.Freed, kept = 0, "added to the index since the plan"
		}
		x.reportCandidate(c, kept)
	}
	return nil
}

// rest waits for d, or until ctx ends.
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
