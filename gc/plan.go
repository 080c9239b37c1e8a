package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"airmirror/mirror"
)

// Sources says whether content that is deleted could be fetched again now; the error says why not. [mirror.Mirror] does.
type Sources interface {
	CanFetch(ctx context.Context, repo mirror.Repo) error
}

// Plan is what a collection would take out. It can be listed any number of times, and executed once.
type Plan struct {
	Made        time.Time    `json:"made"`
	Totals      Totals       `json:"totals"`
	Budget      Budget       `json:"budget"`
	InGrace     GraceTotals  `json:"waiting"`   // what stays for the grace time alone
	KeepReasons []KeepReason `json:"protected"` // what stays, by reason; the largest first
	// Unreadable is how many records of the index cannot be read. What they say is not part of the plan, and what they
	// need stays; a check of the store finds them.
	Unreadable int `json:"unreadable,omitempty"`

	// Pins are those of what a removal takes out.
	Pins []mirror.Ref `json:"-"`

	*planner
	firstKept    int32 // the first unit that does not go
	members      edges // from units to their nodes
	deletedBlobs list[deletedBlob]
	uploads      []mirror.UploadInfo
	orphans      []mirror.Orphan
	errs         errorList
}

var errNoSources = errors.New("it is not known what upstreams have")

// MakePlan looks at everything that is held and decides what goes; now is the time that ages are measured from,
// by the clock of the store. What a plan tells of is by the time of day. Nothing
// is changed. For the same content, policy and time it makes the same plan. With nil for sources, nothing that is
// mirrored can be fetched again.
//
// It needs a few dozen bytes of memory for each blob, and for each reference to one.
func MakePlan(ctx context.Context, store mirror.CollectStore, sources Sources, opts Options, now time.Time) (*Plan, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	cutoff := opts.cutoff(now)
	p := &Plan{planner: &planner{opts: opts, now: now, cutoff: nanos(cutoff), offset: mirror.WallClockOffset(store)}}
	p.Made = p.wallClock(now)
	err := p.scanFiles(ctx, store)
	if err == nil {
		err = p.askSources(ctx, store, sources)
	}
	if err == nil {
		// What is to be said of blobs is in the survey, and not kept: there can be very many.
		err = store.Survey(ctx, func(s mirror.Survey) (err error) {
			if p.graph, err = loadGraph(ctx, s, cutoff, nil, &p.errs); err != nil {
				return err
			}
			if err := p.decideAll(ctx); err != nil {
				return err
			}
			return p.listBlobs(ctx, s)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("plan a collection: %w", err)
	}
	p.Unreadable = p.errs.n
	p.blobs, p.files, p.stack = nil, list[int32]{}, nil
	return p, nil
}

// look lists uploads that were left and orphans, and how full the disk is.
func (p *Plan) scanFiles(ctx context.Context, store mirror.CollectStore) error {
	idle, cutoff := p.opts.staleBefore(p.now), timeOf(p.cutoff)
	for u, err := range store.Uploads(ctx) {
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		p.Budget.Stored += u.Size
		if u.Written.Before(idle) && !u.Open {
			p.uploads = append(p.uploads, u)
			p.Totals.Uploads++
			p.Totals.Bytes += u.Size
		}
	}
	for o, err := range store.Orphans(ctx) {
		if err != nil {
			return fmt.Errorf("list orphans: %w", err)
		}
		p.Budget.Stored += o.Size
		if !o.Written.Before(cutoff) {
			p.addGrace(1, o.Size, o.Written)
			continue
		}
		p.orphans = append(p.orphans, o)
		p.Totals.Orphans++
		p.Totals.Bytes += o.Size
	}
	if p.opts.KeepFree.IsZero() {
		return nil
	}
	if p.opts.Disk == nil {
		return errors.New("it is not known here how full the disk is, so nothing can be kept free")
	}
	total, free, err := p.opts.Disk()
	p.Budget.DiskTotal, p.Budget.DiskFree = total, free
	return err
}

// askSources asks of all repositories whether they could be fetched again. That cannot be asked within a survey.
func (p *Plan) askSources(ctx context.Context, store mirror.CollectStore, sources Sources) error {
	p.fetchErrors = make(map[string]error)
	var repos []mirror.Repo
	err := store.Survey(ctx, func(s mirror.Survey) error {
		for _, r := range s.Repos() {
			repos = append(repos, r.Repo)
		}
		return nil
	})
	for _, repo := range repos {
		why := errNoSources
		if sources != nil {
			why = sources.CanFetch(ctx, repo)
		}
		p.fetchErrors[repo.String()] = why
	}
	return err
}

// decideAll decides what goes.
func (p *Plan) decideAll(ctx context.Context) error {
	p.propagate(p.opts.Policy)
	p.matchRules()
	p.applyRules()
	p.findTagMoves()
	if err := p.makeImages(ctx); err != nil {
		return err
	}
	p.assignFiles()
	p.applyBudget()
	p.members = newEdges(len(p.images), func(yield func(edge) bool) {
		for place, n := range p.nodes.all() {
			if !yield(edge{n.image, place}) {
				return
			}
		}
	})
	p.keepWithoutGain()
	p.addTotals()
	p.addGraceTotals()
	p.addKeepReasons()
	return nil
}

// assignFiles finds the last unit that needs each blob, and what goes with each unit.
func (p *Plan) assignFiles() {
	for place, n := range p.nodes.all() {
		for file := range p.filesOf(place) {
			b := p.blobs.at(file)
			b.lastImage = max(b.lastImage, n.image)
		}
	}
	for _, b := range p.blobs.all() {
		p.Budget.Stored += b.size
		switch {
		case b.keep:
		case b.lastImage != noImage:
			p.images[b.lastImage].freed += b.size
		case !b.referenced:
			p.Totals.Bytes += b.size
		}
	}
}

// goes reports whether a unit goes.
func (p *Plan) deletesImage(place int32) bool { return place < p.firstKept && !p.images[place].noGain }

// leaves reports whether a blob goes.
func (p *Plan) deletesBlob(b *blob) bool {
	if b.lastImage == noImage {
		return !b.keep && !b.referenced
	}
	return !b.keep && p.deletesImage(b.lastImage)
}

// keepWithoutGain keeps images for which a budget gains nothing, because everything of them stays for others.
func (p *Plan) keepWithoutGain() {
	for place := p.firstKept - 1; place >= 0; place-- {
		if u := &p.images[place]; u.class == evictable {
			u.noGain = !p.gains(place)
		}
	}
}

// gains reports whether it is good for something that a unit goes: it frees something, now or with a later unit, or a
// later unit takes something along that it brings.
func (p *Plan) gains(unit int32) (gains bool) {
	for _, n := range p.members.of(unit) {
		for file := range p.filesOf(n) {
			if b := p.blobs.at(file); !b.keep && b.lastImage < p.firstKept {
				return true
			}
		}
	}
	seen := make(map[int32]bool)
	p.walk(&p.dependents, p.images[unit].root, func(n int32) bool {
		first := !seen[n] && !gains
		seen[n] = true
		of := p.nodes.at(n).image
		gains = gains || of != unit && p.deletesImage(of)
		return first
	})
	return gains
}

// addTotals adds up what goes.
func (p *Plan) addTotals() {
	for place := range p.firstKept {
		u, members := &p.images[place], p.members.of(place)
		if u.noGain || len(members) == 0 {
			continue
		}
		p.Totals.Images++
		p.Totals.Manifests += len(members)
		p.Totals.Bytes += u.freed
		for _, n := range members {
			p.Totals.Tags += len(p.tagsOf.of(n))
		}
	}
	for range p.deletedTags() {
		p.Totals.Tags++
	}
	for place := range int32(len(p.images)) {
		p.images[place].size = p.sizeOf(place)
	}
}

// sizeOf adds up the files of a unit, each once.
func (p *Plan) sizeOf(unit int32) (size int64) {
	for pass := range 2 {
		for _, n := range p.members.of(unit) {
			for file := range p.filesOf(n) {
				if b := p.blobs.at(file); b.counted == (pass == 1) {
					b.counted = pass == 0
					if pass == 0 {
						size += b.size
					}
				}
			}
		}
	}
	return size
}
