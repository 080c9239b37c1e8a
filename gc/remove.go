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

// Removal names content to delete.
type Removal struct {
	// Refs are tags, or manifests by digest. A manifest by digest is removed with all its tags.
	Refs []mirror.Ref
	// Now deletes the files that nothing else needs at once, even those that were used within the grace period.
	// Otherwise the next collection deletes them.
	Now bool
	// IncludePinned removes content even if it is pinned. The caller must delete the pins ([Plan.Pins]) before it
	// executes the plan.
	IncludePinned bool
}

// PinnedError names what a [Removal] cannot delete because it is pinned.
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

// MakeRemoval plans to delete the content that removal names, together with its dependents (children of an index, and
// referrers) that no other content needs. The plan contains nothing else. Its [Totals.Bytes] are freed by the plan or,
// without [Removal.Now], by a later collection. Use of the content between plan and execution does not keep it.
//
// The error is a [mirror.CodeManifestUnknown] for content that is not stored. It is a [mirror.CodeDenied] for content
// that is pinned (with a [*PinnedError]), that a kept index needs, or that a transfer uses. There is no plan then.
func MakeRemoval(ctx context.Context, store mirror.CollectStore, removal Removal, now time.Time) (*Plan, error) {
	p := &Plan{planner: &planner{now: now, removal: newSelection(removal), cutoff: nanos(now), offset: mirror.WallClockOffset(store)}}
	p.Made = p.wallClock(now)
	err := store.SurveyRefs(ctx, removal.Refs, func(s mirror.Survey) (err error) {
		if p.graph, err = loadGraph(ctx, s, now, p.removal, &p.errs); err != nil {
			return err
		}
		for _, b := range p.blobs.all() { // a manifest that belongs to none of the images uses it
			b.keep = b.keep || b.users > 0
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
		p.cutoff = 0 // every use is later than this, so the store keeps every file
	}
	return p, nil
}

// selection is the content that a removal names.
type selection struct {
	refs   []mirror.Ref
	tags   map[mirror.Repo]map[string]bool
	pinned bool // includes pinned content
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

// has reports whether a tag is named. A nil selection names none.
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
	p.Totals, p.Budget = Totals{}, Budget{} // a removal deletes no unreferenced blobs and applies no budget
	p.firstKept = int32(slices.IndexFunc(p.images, func(u image) bool { return u.class == kept }))
	if p.firstKept < 0 {
		p.firstKept = int32(len(p.images))
	}
	p.members = newEdges(len(p.images), func(yield func(edge) bool) {
		for index, n := range p.nodes.all() {
			if !yield(edge{n.image, index}) {
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
	for index := range p.deletedImages() {
		for _, n := range p.members.of(index) {
			p.nodes.at(n).ownUse = never
		}
	}
	return nil
}

// never is later than any time of use, in nanoseconds.
const never = 1<<63 - 1

// markNamed marks the content that the removal names, and returns the nodes of the manifests that it names by digest.
func (p *Plan) markNamed(s mirror.Survey) (named map[mirror.Ref]int32, err error) {
	digests := make(map[mirror.Ref]bool)
	for _, ref := range p.removal.refs {
		if ref.Digest != "" {
			digests[ref] = true
		}
	}
	named, found := make(map[mirror.Ref]int32), make(map[mirror.Ref]bool)
	var pins PinnedError
	for index, n := range p.nodes.all() {
		if len(digests) == 0 {
			break
		}
		ref := mirror.Ref{Repo: p.repos[n.repo], Digest: n.digest.digest()}
		if !digests[ref] {
			continue
		}
		named[ref], found[ref] = index, true
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
			return nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s is not stored", ref)
		}
	}
	if p.Pins = pins.Refs; len(pins.Refs) > 0 && !p.removal.pinned {
		return nil, &mirror.Error{Code: mirror.CodeDenied, Message: pins.Error(), Cause: &pins}
	}
	p.unpin(s, named)
	return named, nil
}

// unpin clears the pinned flag of the nodes whose pins are all removed.
func (p *Plan) unpin(s mirror.Survey, named map[mirror.Ref]int32) {
	for index, n := range p.nodes.all() {
		if n.flags&toRemove == 0 || n.flags&pinned == 0 {
			continue
		}
		ref := mirror.Ref{Repo: p.repos[n.repo], Digest: n.digest.digest()}
		_, itself := named[ref]
		pinnedTag := func(t int32) bool { return p.tags.at(t).pinned && !p.tags.at(t).deleted }
		if (itself || !s.Pinned(ref)) && !slices.ContainsFunc(p.tagsOf.of(index), pinnedTag) {
			n.flags &^= pinned
		}
	}
}

// decideRemoved is [planner.decide] for a removal.
func (p *planner) decideRemoved(root int32) (class, string) {
	n := p.nodes.at(root)
	switch {
	case n.flags&toRemove == 0 || p.hasTag(root):
		return kept, "the request does not name it"
	case n.flags&isRoot != 0:
		return kept, "it was stored by its digest: remove it by digest"
	case n.flags&pinned != 0:
		return kept, "it is pinned"
	case n.flags&inUse != 0:
		return kept, "it is in use by a transfer"
	}
	return expired, reasonRemoved
}

// checkNamed returns an error if a manifest that is named by digest is kept. A tag that is named is deleted even if
// its manifest is kept.
func (p *Plan) checkNamed(named map[mirror.Ref]int32) error {
	for _, ref := range p.removal.refs {
		index, byDigest := named[ref]
		img := p.nodes.at(index).image
		switch {
		case !byDigest || img < p.firstKept:
			continue
		case p.images[img].root == index:
			return mirror.Errorf(mirror.CodeDenied, "%s cannot be removed: %s", ref, p.reasons[p.images[img].reason])
		}
		return mirror.Errorf(mirror.CodeDenied, "%s cannot be removed: %s needs it and is kept", ref, p.digestOf(p.images[img].root))
	}
	return nil
}

// digestOf returns the digest of a node.
func (p *Plan) digestOf(index int32) digest.Digest { return p.nodes.at(index).digest.digest() }
