package gc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"airmirror/mirror"
)

// ruleOf returns the rule for a repository, nil if there is none.
func (p *planner) ruleOf(repo int32) *Rule { return p.rules[repo] }

func (p *planner) findRules() {
	p.rules = make([]*Rule, len(p.repos))
	for repo, name := range p.names {
		i := slices.IndexFunc(p.opts.Rules, func(r Rule) bool { return mirror.Match(r.Match, name) })
		if i >= 0 {
			p.rules[repo] = &p.opts.Rules[i]
		}
	}
}

// dropTags has the rules decide about tags. What belongs to another manifest comes and goes with that.
func (p *planner) dropTags() {
	var tags []int32 // of one repository
	repo := int32(-1)
	for place, t := range p.tags.all() {
		if of := p.nodes.at(t.node).repo; of != repo {
			p.dropTagsOf(repo, tags)
			repo, tags = of, tags[:0]
		}
		if !t.follows {
			tags = append(tags, place)
		}
	}
	p.dropTagsOf(repo, tags)
}

func (p *planner) dropTagsOf(repo int32, tags []int32) {
	if len(tags) == 0 || p.rules[repo] == nil {
		return
	}
	rule := p.ruleOf(repo)
	tags = slices.DeleteFunc(tags, func(t int32) bool { return mirror.MatchAny(rule.Keep, p.tags.at(t).name) })
	slices.SortFunc(tags, func(a, b int32) int {
		return cmp.Or(cmp.Compare(p.tags.at(b).updated, p.tags.at(a).updated), cmp.Compare(b, a))
	})
	for i, place := range tags {
		t := p.tags.at(place)
		if rule.drops(i, p.age(p.nodes.at(t.node).use)) && p.covers(rule, t.node) {
			why := p.staysWhatever(t.node)
			t.dropped, t.waits = why == "", why == withinGrace
		}
	}
}

// drops reports whether the rule has a reason to drop a tag that is the i-th newest, and none to keep it.
func (r *Rule) drops(i int, unused time.Duration) bool {
	if r.KeepNewest == 0 && r.DropUnusedFor == 0 {
		return false
	}
	return i >= r.KeepNewest && unused > time.Duration(r.DropUnusedFor)
}

// covers reports whether a rule may take out a node, with what it brings.
func (p *planner) covers(rule *Rule, place int32) bool {
	n := p.nodes.at(place)
	if n.state&foreign != 0 && !rule.Pushed {
		return false
	}
	return n.origin != mirrored || p.gone(n.repo) == nil
}

// why says in which words a rule drops an image or tag.
func (r *Rule) why(superseded bool) string {
	var reasons []string
	switch {
	case superseded:
		reasons = append(reasons, fmt.Sprintf("superseded and not pulled for %s", r.DropSupersededAfter))
	default:
		if r.KeepNewest > 0 {
			reasons = append(reasons, fmt.Sprintf("not among the newest %d", r.KeepNewest))
		}
		if r.DropUnusedFor > 0 {
			reasons = append(reasons, fmt.Sprintf("not pulled for %s", r.DropUnusedFor))
		}
	}
	return strings.Join(reasons, ", ") + " (rule for " + r.Match + ")"
}

// findMoves notes of each repository when its tags were moved or made.
func (p *planner) findMoves() {
	p.moves = make(map[int32][]int64)
	for _, t := range p.tags.all() {
		if repo := p.nodes.at(t.node).repo; p.rules[repo] != nil && p.rules[repo].DropSupersededAfter > 0 && !t.follows {
			p.moves[repo] = append(p.moves[repo], t.updated)
		}
	}
	for _, moves := range p.moves {
		slices.Sort(moves)
	}
}

// superseded reports whether the rule of its repository drops a node to which no tag leads.
func (p *planner) superseded(place int32) bool {
	n := p.nodes.at(place)
	rule := p.ruleOf(n.repo)
	if rule == nil || rule.DropSupersededAfter == 0 || p.age(n.use) <= time.Duration(rule.DropSupersededAfter) || !p.covers(rule, place) {
		return false
	}
	moves := p.moves[n.repo]
	first, _ := slices.BinarySearch(moves, n.added+1)
	return first < len(moves) && p.age(moves[first]) > time.Duration(rule.DropSupersededAfter)
}

// keptByRule reports whether a tag of a node is one that a rule keeps.
func (p *planner) keptByRule(place int32) bool {
	rule := p.ruleOf(p.nodes.at(place).repo)
	return rule != nil && slices.ContainsFunc(p.named.of(place), func(t int32) bool { return mirror.MatchAny(rule.Keep, p.tags.at(t).name) })
}
