package gc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"airmirror/mirror"
)

// image is the unit of deletion: a root manifest with all its dependents. A root is a manifest that is tagged, was
// stored by its digest, or has no owner. A node that several images contain is deleted with the last of them. The
// same holds for a tagged child of an index: if the index is deleted later than the child, the child is deleted with
// the index. Images are ordered by when they are deleted; those that are kept are the last.
type image struct {
	root    int32
	reason  int32 // index in the planner's reasons
	class   class
	noGain  bool  // a budget would delete it, but that frees nothing
	inGrace bool  // only the grace period keeps it
	size    int64 // of its files, in bytes
	freed   int64 // size of the files that no later image needs
}

// class is why an image is deleted or kept, in the order of deletion.
type class uint8

const (
	untagged  class = iota // by [Policy.DeleteUntagged]
	expired                // by a retention rule, or by name
	evictable              // by a budget, the least recently used first
	kept
)

// planner decides which images of a graph are deleted.
type planner struct {
	*graph
	opts        Options
	now         time.Time         // by the clock of the store, like all times of its content
	offset      time.Duration     // from the clock of the store to the wall clock
	cutoff      int64             // the beginning of the grace period, in nanoseconds
	fetchErrors map[string]error  // by repository: why it cannot be fetched again; nil if it can
	rules       []*Rule           // by repository; nil without a rule
	tagMoves    map[int32][]int64 // by repository: when its tags were made or moved, in nanoseconds, ascending
	images      []image
	reasons     []string
	removal     *selection // what a removal deletes; nil for a collection
}

var errNewRepo = errors.New("the repository is new")

// fetchError returns why content of a repository cannot be fetched again after its deletion. It returns nil if the
// content can be fetched again, or need not be.
func (p *planner) fetchError(repo int32) error {
	if p.opts.EvictOffline {
		return nil
	}
	err, known := p.fetchErrors[p.names[repo]]
	if !known {
		return errNewRepo
	}
	return err
}

// wallClock converts a time of the store to wall clock time.
func (p *planner) wallClock(at time.Time) time.Time { return mirror.WallClockTime(at, p.offset) }

func (p *planner) age(nanos int64) time.Duration { return time.Duration(p.now.UnixNano() - nanos) }

// reasonIndex returns the index of a reason in p.reasons, and adds it if it is new.
func (p *planner) reasonIndex(reason string) int32 {
	i := slices.Index(p.reasons, reason)
	if i < 0 {
		i = len(p.reasons)
		p.reasons = append(p.reasons, reason)
	}
	return int32(i)
}

// makeImages finds all images, orders them and assigns each node to the last image that contains it.
func (p *planner) makeImages(ctx context.Context) error {
	for index, n := range p.nodes.all() {
		if n.flags&(pinned|isRoot|dependent) != dependent || p.hasTag(index) {
			p.makeImage(index)
		}
	}
	// Two manifests can be each other's referrers by the names of their tags. Then neither is a root.
	for index, n := range p.nodes.all() {
		if n.flags&inImage == 0 {
			for _, t := range p.tagsOf.of(index) {
				p.tags.at(t).referrer = false
			}
			p.makeImage(index)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	slices.SortFunc(p.images, func(a, b image) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(p.nodes.at(a.root).lastUse, p.nodes.at(b.root).lastUse), cmp.Compare(a.root, b.root))
	})
	for i, img := range slices.Backward(p.images) {
		p.walk(&p.dependents, img.root, func(n int32) bool {
			first := p.nodes.at(n).image == noImage
			if first {
				p.nodes.at(n).image = int32(i)
			}
			return first
		})
	}
	return nil
}

// hasTag reports whether a tag that is kept points at a node. Tags that name a subject do not count.
func (p *planner) hasTag(index int32) bool {
	return slices.ContainsFunc(p.tagsOf.of(index), func(t int32) bool { return !p.tags.at(t).referrer && !p.tags.at(t).deleted })
}

// allTagsInGrace reports whether a node is kept only by tags that a retention rule deletes after the grace period.
func (p *planner) allTagsInGrace(index int32) bool {
	if p.nodes.at(index).flags&isRoot != 0 {
		return false
	}
	waiting := false
	for _, t := range p.tagsOf.of(index) {
		t := p.tags.at(t)
		if !t.referrer && !t.deleted && !t.inGrace {
			return false
		}
		waiting = waiting || t.inGrace
	}
	return waiting
}

// makeImage adds the image of a root.
func (p *planner) makeImage(root int32) {
	decide := p.decide
	if p.removal != nil {
		decide = p.decideRemoved
	}
	class, reason := decide(root)
	img := image{root: root, class: class, reason: p.reasonIndex(reason)}
	if reason == reasonGrace && p.removal == nil {
		later, _ := p.evaluate(root)
		img.inGrace = later < evictable || p.allTagsInGrace(root)
	}
	p.images = append(p.images, img)
	p.mark(&p.dependents, root, inImage)
}

// protectedReason returns why a node is kept whatever the policy says, or "".
func (p *planner) protectedReason(index int32) string {
	n := p.nodes.at(index)
	switch {
	case n.flags&pinned != 0:
		return reasonPinned
	case n.flags&inUse != 0:
		return reasonInUse
	case n.lastUse >= p.cutoff:
		return reasonGrace
	}
	return ""
}

// decide returns the class of an image and the reason.
func (p *planner) decide(root int32) (class, string) {
	if reason := p.protectedReason(root); reason != "" {
		return kept, reason
	}
	return p.evaluate(root)
}

// evaluate is decide for an image that is neither protected nor within the grace period.
func (p *planner) evaluate(root int32) (class, string) {
	n := p.nodes.at(root)
	tags := p.tagsOf.of(root)
	if n.flags&isRoot == 0 && !p.hasTag(root) {
		rule := p.ruleOf(n.repo)
		if slices.ContainsFunc(tags, func(t int32) bool { return p.tags.at(t).deleted }) {
			return expired, rule.reason(false)
		}
		if p.superseded(root) {
			return expired, rule.reason(true)
		}
		if p.opts.DeleteUntagged && (n.origin != mirrored || p.fetchError(n.repo) == nil) {
			return untagged, reasonUntagged
		}
	}
	switch {
	case p.hasKeptTag(root):
		return kept, reasonKeptTag
	case n.flags&unselected != 0 && n.origin == pushed:
		return kept, reasonPushed
	case n.flags&unselected != 0 && n.origin == imported:
		return kept, reasonImported
	case n.flags&unselected != 0:
		return kept, reasonDependency
	case n.origin == mirrored && p.fetchError(n.repo) != nil:
		return kept, "cannot be fetched again: " + p.fetchError(n.repo).Error()
	}
	return evictable, reasonLeastUsed
}
