package gc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"airmirror/mirror"
)

// A unit is what goes together: a manifest that a tag leads to, that is a root, or that nothing else needs, with all that it brings. A
// node that several units bring goes with the last of them, and so does a tagged child of an index: it goes with the
// index, if that goes later than the child alone would have. Units are put in the order in which they go; those that
// stay are the last.
type image struct {
	root    int32
	reason  int32 // place in the planner's reasons
	class   class
	noGain  bool  // it could go, but that would free nothing
	inGrace bool  // it stays for nothing but the grace time
	size    int64 // of its files, in bytes
	freed   int64 // of those that no later unit needs
}

// class is why a unit goes, in the order in which classes go.
type class uint8

const (
	untagged  class = iota // by [Policy.DeleteUntagged]
	expired                // by a rule
	evictable              // for a budget, the least recently used first
	kept
)

// planner makes a plan of a graph.
type planner struct {
	*graph
	opts        Options
	now         time.Time     // by the clock of the store, as all times of what it holds
	offset      time.Duration // of the time of day from that
	cutoff      int64
	fetchErrors map[string]error // why a repository cannot be fetched again
	rules       []*Rule          // of each repository
	tagMoves    map[int32][]int64
	images      []image
	reasons     []string
	removal     *selection // what alone goes; nil for a collection
}

var errNewRepo = errors.New("the repository is new")

// gone returns why content of a repository that is deleted would be gone for now, or nil if an upstream would give it.
func (p *planner) fetchError(repo int32) error {
	if p.opts.EvenOffline {
		return nil
	}
	err, known := p.fetchErrors[p.names[repo]]
	if !known {
		return errNewRepo
	}
	return err
}

// shown returns a time of the store as people see it, by the time of day.
func (p *planner) wallClock(at time.Time) time.Time { return mirror.WallClockTime(at, p.offset) }

func (p *planner) age(nanos int64) time.Duration { return time.Duration(p.now.UnixNano() - nanos) }

// reason returns the place of a reason.
func (p *planner) reasonIndex(why string) int32 {
	i := slices.Index(p.reasons, why)
	if i < 0 {
		i = len(p.reasons)
		p.reasons = append(p.reasons, why)
	}
	return int32(i)
}

// makeImages finds all units and puts them in order.
func (p *planner) makeImages(ctx context.Context) error {
	for place, n := range p.nodes.all() {
		if n.flags&(pinned|isRoot|dependent) != dependent || p.tagged(place) {
			p.makeImage(place)
		}
	}
	// Names of tags can say that two manifests belong to each other, and so to nothing else.
	for place, n := range p.nodes.all() {
		if n.flags&inImage == 0 {
			for _, t := range p.tagsOf.of(place) {
				p.tags.at(t).referrer = false
			}
			p.makeImage(place)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	slices.SortFunc(p.images, func(a, b image) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(p.nodes.at(a.root).lastUse, p.nodes.at(b.root).lastUse), cmp.Compare(a.root, b.root))
	})
	for place, u := range slices.Backward(p.images) {
		p.walk(&p.dependents, u.root, func(n int32) bool {
			first := p.nodes.at(n).image == noImage
			if first {
				p.nodes.at(n).image = int32(place)
			}
			return first
		})
	}
	return nil
}

// tagged reports whether a tag that stays leads to a node, other than one that says that the node belongs to another.
func (p *planner) tagged(place int32) bool {
	return slices.ContainsFunc(p.tagsOf.of(place), func(t int32) bool { return !p.tags.at(t).referrer && !p.tags.at(t).deleted })
}

// allTagsInGrace reports whether a node stays for tags alone that wait for the grace time to end.
func (p *planner) allTagsInGrace(place int32) bool {
	if p.nodes.at(place).flags&isRoot != 0 {
		return false
	}
	waiting := false
	for _, t := range p.tagsOf.of(place) {
		t := p.tags.at(t)
		if !t.referrer && !t.deleted && !t.inGrace {
			return false
		}
		waiting = waiting || t.inGrace
	}
	return waiting
}

func (p *planner) makeImage(root int32) {
	decide := p.decide
	if p.removal != nil {
		decide = p.decideRemoved
	}
	class, why := decide(root)
	u := image{root: root, class: class, reason: p.reasonIndex(why)}
	if why == reasonGrace && p.removal == nil {
		later, _ := p.evaluate(root)
		u.inGrace = later < evictable || p.allTagsInGrace(root)
	}
	p.images = append(p.images, u)
	p.mark(&p.dependents, root, inImage)
}

// reasonGrace is why a unit stays that was touched a short time ago.
const reasonGrace = "used, tagged or added within the grace time"

// protectedReason says why a node stays whatever the policy is, or "".
func (p *planner) protectedReason(place int32) string {
	n := p.nodes.at(place)
	switch {
	case n.flags&pinned != 0:
		return "pinned"
	case n.flags&inUse != 0:
		return "in use by a transfer"
	case n.lastUse >= p.cutoff:
		return reasonGrace
	}
	return ""
}

// decide says whether and why a unit goes.
func (p *planner) decide(root int32) (class, string) {
	if why := p.protectedReason(root); why != "" {
		return kept, why
	}
	return p.evaluate(root)
}

// judge is decide for what nothing protects for now.
func (p *planner) evaluate(root int32) (class, string) {
	n := p.nodes.at(root)
	tags := p.tagsOf.of(root)
	if n.flags&isRoot == 0 && !p.tagged(root) {
		rule := p.ruleOf(n.repo)
		if slices.ContainsFunc(tags, func(t int32) bool { return p.tags.at(t).deleted }) {
			return expired, rule.reason(false)
		}
		if p.superseded(root) {
			return expired, rule.reason(true)
		}
		if p.opts.DeleteUntagged && (n.origin != mirrored || p.fetchError(n.repo) == nil) {
			return untagged, "no tag leads to it"
		}
	}
	switch {
	case p.hasKeptTag(root):
		return kept, "a rule keeps its tag"
	case n.flags&unselected != 0 && n.origin == pushed:
		return kept, "pushed"
	case n.flags&unselected != 0 && n.origin == imported:
		return kept, "imported"
	case n.flags&unselected != 0:
		return kept, "something that was pushed or imported belongs to it"
	case n.origin == mirrored && p.fetchError(n.repo) != nil:
		return kept, "cannot be fetched again: " + p.fetchError(n.repo).Error()
	}
	return evictable, "least recently used"
}
