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
	Made       time.Time    `json:"made"`
	Totals     Totals       `json:"totals"`
	Budget     Budget       `json:"budget"`
	Waiting    Waiting      `json:"waiting"`   // what stays for the grace time alone
	Protection []Protection `json:"protected"` // what stays, by reason; the largest first
	// Unreadable is how many records of the index cannot be read. What they say is not part of the plan, and what they
	// need stays; a check of the store finds them.
	Unreadable int `json:"unreadable,omitempty"`

	// Pins are those of what a removal takes out.
	Pins []mirror.Ref `json:"-"`

	*planner
	cut     int32 // the first unit that does not go
	members edges // from units to their nodes
	going   list[goingBlob]
	uploads []mirror.UploadInfo
	orphans []mirror.Orphan
	flaws   flaws
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
	p.Made = p.shown(now)
	err := p.look(ctx, store)
	if err == nil {
		err = p.askSources(ctx, store, sources)
	}
	if err == nil {
		// What is to be said of blobs is in the survey, and not kept: there can be very many.
		err = store.Survey(ctx, func(s mirror.Survey) (err error) {
			if p.graph, err = loadGraph(ctx, s, cutoff, nil, &p.flaws); err != nil {
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
	p.Unreadable = p.flaws.n
	p.blobs, p.files, p.stack = nil, list[int32]{}, nil
	return p, nil
}

// look lists uploads that were left and orphans, and how full the disk is.
func (p *Plan) look(ctx context.Context, store mirror.CollectStore) error {
	idle, cutoff := p.opts.idle(p.now), moment(p.cutoff)
	for u, err := range store.Uploads(ctx) {
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		p.Budget.Held += u.Size
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
		p.Budget.Held += o.Size
		if !o.Written.Before(cutoff) {
			p.wait(1, o.Size, o.Written)
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
	p.fetch = make(map[string]error)
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
		p.fetch[repo.String()] = why
	}
	return err
}

// decideAll decides what goes.
func (p *Plan) decideAll(ctx context.Context) error {
	p.spread(p.opts.Policy)
	p.findRules()
	p.dropTags()
	p.findMoves()
	if err := p.makeUnits(ctx); err != nil {
		return err
	}
	p.findLast()
	p.keepWithinBudget()
	p.members = newEdges(len(p.units), func(yield func(edge) bool) {
		for place, n := range p.nodes.all() {
			if !yield(edge{n.unit, place}) {
				return
			}
		}
	})
	p.keepIdle()
	p.addUp()
	p.findWaiting()
	p.protect()
	return nil
}

// findLast finds the last unit that needs each blob, and what goes with each unit.
func (p *Plan) findLast() {
	for place, n := range p.nodes.all() {
		for file := range p.filesOf(place) {
			b := p.blobs.at(file)
			b.last = max(b.last, n.unit)
		}
	}
	for _, b := range p.blobs.all() {
		p.Budget.Held += b.size
		switch {
		case b.fresh:
		case b.last != alone:
			p.units[b.last].freed += b.size
		case !b.used:
			p.Totals.Bytes += b.size
		}
	}
}

// goes reports whether a unit goes.
func (p *Plan) goes(place int32) bool { return place < p.cut && !p.units[place].idle }

// leaves reports whether a blob goes.
func (p *Plan) leaves(b *blob) bool {
	if b.last == alone {
		return !b.fresh && !b.used
	}
	return !b.fresh && p.goes(b.last)
}

// keepIdle keeps images for which a budget gains nothing, because everything of them stays for others.
func (p *Plan) keepIdle() {
	for place := p.cut - 1; place >= 0; place-- {
		if u := &p.units[place]; u.class == evictable {
			u.idle = !p.gains(place)
		}
	}
}

// gains reports whether it is good for something that a unit goes: it frees something, now or with a later unit, or a
// later unit takes something along that it brings.
func (p *Plan) gains(unit int32) (gains bool) {
	for _, n := range p.members.of(unit) {
		for file := range p.filesOf(n) {
			if b := p.blobs.at(file); !b.fresh && b.last < p.cut {
				return true
			}
		}
	}
	seen := make(map[int32]bool)
	p.walk(&p.brings, p.units[unit].root, func(n int32) bool {
		first := !seen[n] && !gains
		seen[n] = true
		of := p.nodes.at(n).unit
		gains = gains || of != unit && p.goes(of)
		return first
	})
	return gains
}

// addUp adds up what goes.
func (p *Plan) addUp() {
	for place := range p.cut {
		u, members := &p.units[place], p.members.of(place)
		if u.idle || len(members) == 0 {
			continue
		}
		p.Totals.Images++
		p.Totals.Manifests += len(members)
		p.Totals.Bytes += u.freed
		for _, n := range members {
			p.Totals.Tags += len(p.named.of(n))
		}
	}
	for range p.tagsAlone() {
		p.Totals.Tags++
	}
	for place := range int32(len(p.units)) {
		p.units[place].size = p.sizeOf(place)
	}
}

// sizeOf adds up the files of a unit, each once.
func (p *Plan) sizeOf(unit int32) (size int64) {
	for pass := range 2 {
		for _, n := range p.members.of(unit) {
			for file := range p.filesOf(n) {
				if b := p.blobs.at(file); b.seen == (pass == 1) {
					b.seen = pass == 0
					if pass == 0 {
						size += b.size
					}
				}
			}
		}
	}
	return size
}
