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
	// stepItems and stepBlobs are how much is taken out before a rest: a few transactions.
	stepItems = 64
	// unpacedItems are how much is taken out where there is no rest.
	unpacedItems = 4096
	stepBlobs    = 256
	// mostStayed is how many items a result names that stayed after all.
	mostStayed = 100
)

// Execute takes out what the plan says, as far as nobody has come to need it since. It tells about each item, in the order
// in which they go, and returns what it did up to an error or the end of ctx. Only one collection should run at a time;
// everything else may go on meanwhile.
func (p *Plan) Execute(ctx context.Context, store mirror.CollectStore, tell func(Event)) (Result, error) {
	x := &execution{Plan: p, store: store, tell: tell, result: Result{Began: time.Now().UTC(), Planned: p.Totals.Bytes, Budget: p.Budget, Waiting: p.Waiting}}
	err := x.sweep(ctx)
	if err == nil {
		err = x.dropUploads(ctx)
	}
	if err == nil {
		err = x.dropOrphans(ctx)
	}
	err = errors.Join(err, x.failures.err())
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
	tell   func(Event)
	result Result
	// failures are what went wrong with single items.
	failures flaws
}

// step is something to sweep, and what to say of it.
type step struct {
	mirror.DeleteRequest
	item  Item
	sizes []int64 // of its Blobs
}

// sweep takes out everything but uploads and orphans. The store is given a few things at a time, so that a rest between
// them is one in which it does nothing for this.
func (x *execution) sweep(ctx context.Context) error {
	next, stop := iter.Pull(x.steps())
	defer stop()
	items := stepItems
	if x.opts.Pace <= 0 {
		items = unpacedItems
	}
	for {
		var steps []step
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
		if err := x.take(ctx, steps); err != nil {
			return err
		}
		if err := rest(ctx, time.Duration(x.opts.Pace*float64(time.Since(began)))); err != nil {
			return err
		}
	}
}

// take sweeps a few steps.
func (x *execution) take(ctx context.Context, steps []step) error {
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
			x.account(steps[done], swept)
		}
		done++
	})
	if done < len(steps) {
		return err
	}
	x.failures.note(err) // everything was tried: what cannot be read is not to keep the rest
	return nil
}

// account notes what became of a step.
func (x *execution) account(s step, swept mirror.DeleteResult) {
	r := &x.result
	r.LongestMillis = max(r.LongestMillis, swept.Longest.Seconds()*1e3)
	r.Tags += swept.Tags
	r.Manifests += swept.Manifests
	r.Blobs += len(swept.Blobs)
	r.Bytes += swept.Bytes
	if s.item.Kind == Blob {
		x.accountBlobs(s, swept)
		return
	}
	if len(s.Manifests) > 0 && swept.Kept == "" {
		r.Images++
	}
	s.item.Freed = swept.Bytes
	x.say(s.item, swept.Kept)
}

// accountBlobs tells which of the blobs that no manifest used went.
func (x *execution) accountBlobs(s step, swept mirror.DeleteResult) {
	for i, d := range s.DeleteRequest.Blobs {
		item := Item{Kind: Blob, Name: d.String(), Digest: d, Size: s.sizes[i], Freed: s.sizes[i], Why: s.item.Why}
		kept := ""
		if !slices.Contains(swept.Blobs, d) {
			item.Freed, kept = 0, "somebody asked for it, or it is gone already"
		}
		x.say(item, kept)
	}
}

// say tells of an item, and notes it if it was kept.
func (x *execution) say(item Item, kept string) {
	if item.Kind == "" {
		return
	}
	event := Event{item, kept}
	if kept != "" {
		if x.result.Kept++; len(x.result.Stayed) < mostStayed {
			x.result.Stayed = append(x.result.Stayed, event)
		}
	}
	if x.tell != nil {
		x.tell(event)
	}
}

// steps yields what is to be swept.
func (p *Plan) steps() iter.Seq[step] {
	return func(yield func(step) bool) {
		before := moment(p.cutoff)
		if !p.blobSteps(yield) {
			return
		}
		for t := range p.tagsAlone() {
			tag := p.tags.at(t)
			n := p.nodes.at(tag.node)
			if !yield(step{item: p.tagItem(t), DeleteRequest: mirror.DeleteRequest{
				Repo: p.repos[n.repo], Tags: []mirror.ObservedTag{{Name: tag.name, Digest: n.digest.digest()}}, Before: before,
			}}) {
				return
			}
		}
		for unit := range p.goingUnits() {
			c := mirror.DeleteRequest{Repo: p.repos[p.nodes.at(p.units[unit].root).repo], Before: before, Referrers: p.removal != nil}
			for _, place := range p.members.of(unit) {
				n := p.nodes.at(place)
				c.Manifests = append(c.Manifests, mirror.ObservedManifest{Digest: n.digest.digest(), Used: moment(n.own)})
				for _, t := range p.named.of(place) {
					c.Tags = append(c.Tags, mirror.ObservedTag{Name: p.tags.at(t).name, Digest: n.digest.digest()})
				}
			}
			if !yield(step{item: p.item(unit), DeleteRequest: c}) {
				return
			}
		}
		for _, repo := range p.bare { // is forgotten, which is nothing to tell of
			if !yield(step{DeleteRequest: mirror.DeleteRequest{Repo: p.repos[repo], Before: before}}) {
				return
			}
		}
	}
}

// blobSteps yields the blobs that no manifest uses, some at a time, and reports whether to go on.
func (p *Plan) blobSteps(yield func(step) bool) bool {
	s := step{item: Item{Kind: Blob, Why: whyBlob}}
	flush := func() bool {
		full := s
		full.Before = moment(p.cutoff)
		s.DeleteRequest.Blobs, s.sizes = nil, nil
		return len(full.DeleteRequest.Blobs) == 0 || yield(full)
	}
	for _, b := range p.going.all() {
		if b.unit != alone {
			continue
		}
		s.DeleteRequest.Blobs, s.sizes = append(s.DeleteRequest.Blobs, b.digest.digest()), append(s.sizes, b.size)
		if len(s.DeleteRequest.Blobs) == stepBlobs && !flush() {
			return false
		}
	}
	return flush()
}

// dropUploads drops uploads that were left.
func (x *execution) dropUploads(ctx context.Context) error {
	idle := x.opts.idle(x.now)
	for _, u := range x.uploads {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		expired, err := x.store.ExpireUpload(ctx, u.ID, idle)
		if err != nil {
			x.failures.note(fmt.Errorf("drop upload %s to %s: %w", u.ID, u.Repo, err))
			continue
		}
		item, kept := x.uploadItem(u), ""
		if expired {
			x.result.Uploads++
			x.result.Bytes += u.Size
		} else {
			item.Freed, kept = 0, "it goes on, or has ended"
		}
		x.say(item, kept)
	}
	return nil
}

// dropOrphans removes files that the index does not name.
func (x *execution) dropOrphans(ctx context.Context) error {
	for _, o := range x.orphans {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		dropped, err := x.store.DeleteOrphan(ctx, o.Digest, moment(x.cutoff))
		if err != nil {
			x.failures.note(fmt.Errorf("drop orphan %s: %w", o.Digest, err))
			continue
		}
		item, kept := x.orphanItem(o), ""
		if dropped {
			x.result.Orphans++
			x.result.Bytes += o.Size
		} else {
			item.Freed, kept = 0, "the index names it by now"
		}
		x.say(item, kept)
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
