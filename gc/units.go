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
type unit struct {
	root  int32
	why   int32 // place in the planner's reasons
	class class
	idle  bool  // it could go, but that would free nothing
	waits bool  // it stays for nothing but the grace time
	size  int64 // of its files, in bytes
	freed int64 // of those that no later unit needs
}

// class is why a unit goes, in the order in which classes go.
type class uint8

const (
	withoutTag class = iota // by [Policy.DeleteUntagged]
	ruled                   // by a rule
	evictable               // for a budget, the least recently used first
	stays
)

// planner makes a plan of a graph.
type planner struct {
	*graph
	opts    Options
	now     time.Time     // by the clock of the store, as all times of what it holds
	offset  time.Duration // of the time of day from that
	cutoff  int64
	fetch   map[string]error // why a repository cannot be fetched again
	rules   []*Rule          // of each repository
	moves   map[int32][]int64
	units   []unit
	reasons []string
	removal *selection // what alone goes; nil for a collection
}

var errNewRepo = errors.New("the repository is new")

// gone returns why content of a repository that is deleted would be gone for now, or nil if an upstream would give it.
func (p *planner) gone(repo int32) error {
	if p.opts.EvenOffline {
		return nil
	}
	err, known := p.fetch[p.names[repo]]
	if !known {
		return errNewRepo
	}
	return err
}

// shown returns a time of the store as people see it, by the time of day.
func (p *planner) shown(at time.Time) time.Time { return mirror.WallClockTime(at, p.offset) }

func (p *planner) age(nanos int64) time.Duration { return time.Duration(p.now.UnixNano() - nanos) }

// reason returns the place of a reason.
func (p *planner) reason(why string) int32 {
	i := slices.Index(p.reasons, why)
	if i < 0 {
		i = len(p.reasons)
		p.reasons = append(p.reasons, why)
	}
	return int32(i)
}

// makeUnits finds all units and puts them in order.
func (p *planner) makeUnits(ctx context.Context) error {
	for place, n := range p.nodes.all() {
		if n.state&(pinned|rooted|brought) != brought || p.tagged(place) {
			p.makeUnit(place)
		}
	}
	// Names of tags can say that two manifests belong to each other, and so to nothing else.
	for place, n := range p.nodes.all() {
		if n.state&reached == 0 {
			for _, t := range p.named.of(place) {
				p.tags.at(t).follows = false
			}
			p.makeUnit(place)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	slices.SortFunc(p.units, func(a, b unit) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(p.nodes.at(a.root).use, p.nodes.at(b.root).use), cmp.Compare(a.root, b.root))
	})
	for place, u := range slices.Backward(p.units) {
		p.walk(&p.brings, u.root, func(n int32) bool {
			first := p.nodes.at(n).unit == alone
			if first {
				p.nodes.at(n).unit = int32(place)
			}
			return first
		})
	}
	return nil
}

// tagged reports whether a tag that stays leads to a node, other than one that says that the node belongs to another.
func (p *planner) tagged(place int32) bool {
	return slices.ContainsFunc(p.named.of(place), func(t int32) bool { return !p.tags.at(t).follows && !p.tags.at(t).dropped })
}

// allTagsWait reports whether a node stays for tags alone that wait for the grace time to end.
func (p *planner) allTagsWait(place int32) bool {
	if p.nodes.at(place).state&rooted != 0 {
		return false
	}
	waiting := false
	for _, t := range p.named.of(place) {
		t := p.tags.at(t)
		if !t.follows && !t.dropped && !t.waits {
			return false
		}
		waiting = waiting || t.waits
	}
	return waiting
}

func (p *planner) makeUnit(root int32) {
	decide := p.decide
	if p.removal != nil {
		decide = p.decideNamed
	}
	class, why := decide(root)
	u := unit{root: root, class: class, why: p.reason(why)}
	if why == withinGrace && p.removal == nil {
		later, _ := p.judge(root)
		u.waits = later < evictable || p.allTagsWait(root)
	}
	p.units = append(p.units, u)
	p.mark(&p.brings, root, reached)
}

// withinGrace is why a unit stays that was touched a short time ago.
const withinGrace = "used, tagged or added within the grace time"

// staysWhatever says why a node stays whatever the policy is, or "".
func (p *planner) staysWhatever(place int32) string {
	n := p.nodes.at(place)
	switch {
	case n.state&pinned != 0:
		return "pinned"
	case n.state&inUse != 0:
		return "in use by a transfer"
	case n.use >= p.cutoff:
		return withinGrace
	}
	return ""
}

// decide says whether and why a unit goes.
func (p *planner) decide(root int32) (class, string) {
	if why := p.staysWhatever(root); why != "" {
		return stays, why
	}
	return p.judge(root)
}

// judge is decide for what nothing protects for now.
func (p *planner) judge(root int32) (class, string) {
	n := p.nodes.at(root)
	tags := p.named.of(root)
	if n.state&rooted == 0 && !p.tagged(root) {
		rule := p.ruleOf(n.repo)
		if slices.ContainsFunc(tags, func(t int32) bool { return p.tags.at(t).dropped }) {
			return ruled, rule.why(false)
		}
		if p.superseded(root) {
			return ruled, rule.why(true)
		}
		if p.opts.DeleteUntagged && (n.origin != mirrored || p.gone(n.repo) == nil) {
			return withoutTag, "no tag leads to it"
		}
	}
	switch {
	case p.keptByRule(root):
		return stays, "a rule keeps its tag"
	case n.state&unasked != 0 && n.origin == pushed:
		return stays, "pushed"
	case n.state&unasked != 0 && n.origin == imported:
		return stays, "imported"
	case n.state&unasked != 0:
		return stays, "something that was pushed or imported belongs to it"
	case n.origin == mirrored && p.gone(n.repo) != nil:
		return stays, "cannot be fetched again: " + p.gone(n.repo).Error()
	}
	return evictable, "least recently used"
}
