package gc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Removal is content that somebody wants to be gone, by name.
type Removal struct {
	// Refs are tags, or manifests by their digests, of which all tags go as well.
	Refs []mirror.Ref
	// Now has the files go at once that nothing else needs, even those that were used within the grace time. Otherwise
	// they wait for a collection.
	Now bool
	// IncludePinned has what is named go even if it is pinned. Its pins, [Plan.Pins], have to be taken back before that is done.
	IncludePinned bool
}

// PinnedError says what of a [Removal] is pinned.
type PinnedError struct{ Refs []mirror.Ref }

func (e *PinnedError) Error() string {
	names := make([]string, len(e.Refs))
	for i, ref := range e.Refs {
		names[i] = ref.String()
	}
	if len(names) == 1 {
		return names[0] + " is pinned"
	}
	return strings.Join(names, ", ") + " are pinned"
}

// MakeRemoval plans to take out what is named, with what only that leads to: children of an index, and what refers to an
// image. Nothing else is in the plan; of its totals, Bytes are those that go with it or, without [Removal.Now], that a
// later collection frees once all of it is gone. What is used meanwhile goes all the same.
//
// What is not held is a [mirror.CodeManifestUnknown]; what is pinned, or needed by an index that stays, or in use by a
// transfer, is a [mirror.CodeDenied], with a [*PinnedError] for what is pinned. Nothing is removed then.
func MakeRemoval(ctx context.Context, store mirror.CollectStore, removal Removal, now time.Time) (*Plan, error) {
	p := &Plan{planner: &planner{now: now, removal: newSelection(removal), cutoff: nanos(now), offset: mirror.WallClockOffset(store)}}
	p.Made = p.wallClock(now)
	err := store.Survey(ctx, func(s mirror.Survey) (err error) {
		if p.graph, err = loadGraph(ctx, s, now, p.removal, &p.errs); err != nil {
			return err
		}
		return p.decideRemoval(ctx, s)
	})
	switch {
	case err != nil && mirror.CodeOf(err) == mirror.CodeUnknown:
		return nil, fmt.Errorf("plan a removal: %w", err)
	case err != nil:
		return nil, err
	}
	p.Unreadable = p.errs.n
	p.blobs, p.files, p.stack = nil, list[int32]{}, nil
	if !removal.Now {
		p.cutoff = 0 // so that every file is younger
	}
	return p, nil
}

// selection is what is to be removed.
type selection struct {
	refs   []mirror.Ref
	tags   map[mirror.Repo]map[string]bool
	pinned bool // even if it is
}

func newSelection(removal Removal) *selection {
	s := &selection{refs: removal.Refs, tags: make(map[mirror.Repo]map[string]bool), pinned: removal.IncludePinned}
	for _, ref := range removal.Refs {
		if ref.Digest == "" {
			s.add(ref)
		}
	}
	return s
}

func (s *selection) add(tag mirror.Ref) {
	if s.tags[tag.Repo] == nil {
		s.tags[tag.Repo] = make(map[string]bool)
	}
	s.tags[tag.Repo][tag.Tag] = true
}

// has reports whether a tag is to be removed; a nil selection has none.
func (s *selection) has(repo mirror.Repo, tag string) bool { return s != nil && s.tags[repo][tag] }

// decideRemoval is [Plan.decideAll] for a removal.
func (p *Plan) decideRemoval(ctx context.Context, s mirror.Survey) error {
	p.propagate(Policy{})
	p.rules = make([]*Rule, len(p.repos))
	named, err := p.markNamed(s)
	if err != nil {
		return err
	}
	if err := p.makeImages(ctx); err != nil {
		return err
	}
	p.assignFiles()
	p.Totals, p.Budget = Totals{}, Budget{} // what else could go does not
	p.firstKept = int32(slices.IndexFunc(p.images, func(u image) bool { return u.class == kept }))
	if p.firstKept < 0 {
		p.firstKept = int32(len(p.images))
	}
	p.members = newEdges(len(p.images), func(yield func(edge) bool) {
		for place, n := range p.nodes.all() {
			if !yield(edge{n.image, place}) {
				return
			}
		}
	})
	if err := p.checkNamed(named); err != nil {
		return err
	}
	p.addTotals()
	for _, b := range p.blobs.all() {
		if b.lastImage != noImage && p.deletesBlob(b) {
			p.Totals.Blobs++
		}
	}
	for place := range p.deletedImages() {
		for _, n := range p.members.of(place) {
			p.nodes.at(n).ownUse = never
		}
	}
	return nil
}

// never is a time, in nanoseconds, after which nothing is used.
const never = 1<<63 - 1

// condemn marks what is to be removed, and returns the places of what is named by digest, by reference.
func (p *Plan) markNamed(s mirror.Survey) (named map[mirror.Ref]int32, err error) {
	digests := make(map[mirror.Ref]bool)
	for _, ref := range p.removal.refs {
		if ref.Digest != "" {
			digests[ref] = true
		}
	}
	named, found := make(map[mirror.Ref]int32), make(map[mirror.Ref]bool)
	var pins PinnedError
	for place, n := range p.nodes.all() {
		if len(digests) == 0 {
			break
		}
		ref := mirror.Ref{Repo: p.repos[n.repo], Digest: n.digest.digest()}
		if !digests[ref] {
			continue
		}
		named[ref], found[ref] = place, true
		n.flags |= toRemove
		n.flags &^= isRoot
		if s.Pinned(ref) {
			pins.Refs = append(pins.Refs, ref)
		}
	}
	for _, t := range p.tags.all() {
		n := p.nodes.at(t.node)
		ref := mirror.Ref{Repo: p.repos[n.repo], Tag: t.name}
		if _, all := named[mirror.Ref{Repo: ref.Repo, Digest: n.digest.digest()}]; !all && !p.removal.has(ref.Repo, t.name) {
			continue
		}
		found[ref], t.deleted = true, true
		n.flags |= toRemove
		if t.pinned {
			pins.Refs = append(pins.Refs, ref)
		}
	}
	for _, ref := range p.removal.refs {
		if !found[ref] {
			return nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s is not held", ref)
		}
	}
	if p.Pins = pins.Refs; len(pins.Refs) > 0 && !p.removal.pinned {
		return nil, &mirror.Error{Code: mirror.CodeDenied, Message: pins.Error(), Cause: &pins}
	}
	p.unpin(s, named)
	return named, nil
}

// unpin has nothing pinned by what is to be removed.
func (p *Plan) unpin(s mirror.Survey, named map[mirror.Ref]int32) {
	for place, n := range p.nodes.all() {
		if n.flags&toRemove == 0 || n.flags&pinned == 0 {
			continue
		}
		ref := mirror.Ref{Repo: p.repos[n.repo], Digest: n.digest.digest()}
		_, itself := named[ref]
		stays := func(t int32) bool { return p.tags.at(t).pinned && !p.tags.at(t).deleted }
		if (itself || !s.Pinned(ref)) && !slices.ContainsFunc(p.tagsOf.of(place), stays) {
			n.flags &^= pinned
		}
	}
}

// decideRemoved says whether a unit is what is to be removed.
func (p *planner) decideRemoved(root int32) (class, string) {
	n := p.nodes.at(root)
	switch {
	case n.flags&toRemove == 0 || p.tagged(root):
		return kept, "nobody wants it to be removed"
	case n.flags&isRoot != 0:
		return kept, "it was brought in by its digest, and is removed by that"
	case n.flags&pinned != 0:
		return kept, "it is pinned"
	case n.flags&inUse != 0:
		return kept, "it is in use by a transfer"
	}
	return expired, reasonRemoved
}

// refuse says why a manifest that is named stays, if one does: of a tag, only the tag goes then.
func (p *Plan) checkNamed(named map[mirror.Ref]int32) error {
	for ref, place := range named {
		u := p.nodes.at(place).image
		switch {
		case u < p.firstKept:
			continue
		case p.images[u].root == place:
			return mirror.Errorf(mirror.CodeDenied, "%s cannot be removed: %s", ref, p.reasons[p.images[u].reason])
		}
		return mirror.Errorf(mirror.CodeDenied, "%s cannot be removed: %s needs it, which stays", ref, p.digestOf(p.images[u].root))
	}
	return nil
}

// digestOf names a manifest by its digest.
func (p *Plan) digestOf(place int32) digest.Digest { return p.nodes.at(place).digest.digest() }
