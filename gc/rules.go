package gc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"airmirror/mirror"
)

// ruleOf returns the retention rule of a repository, or nil.
func (p *planner) ruleOf(repo int32) *Rule { return p.rules[repo] }

// matchRules finds the retention rule of each repository: the first that matches.
func (p *planner) matchRules() {
	p.rules = make([]*Rule, len(p.repos))
	for repo, name := range p.names {
		i := slices.IndexFunc(p.opts.Rules, func(r Rule) bool { return mirror.Match(r.Match, name) })
		if i >= 0 {
			p.rules[repo] = &p.opts.Rules[i]
		}
	}
}

// applyRules decides which tags the retention rules delete. Tags that name a subject are left out: they are deleted
// with the subject.
func (p *planner) applyRules() {
	var tags []int32 // of one repository
	repo := int32(-1)
	for index, t := range p.tags.all() {
		if of := p.nodes.at(t.node).repo; of != repo {
			p.applyRule(repo, tags)
			repo, tags = of, tags[:0]
		}
		if !t.referrer {
			tags = append(tags, index)
		}
	}
	p.applyRule(repo, tags)
}

// applyRule decides about the tags of one repository.
func (p *planner) applyRule(repo int32, tags []int32) {
	if len(tags) == 0 || p.rules[repo] == nil {
		return
	}
	rule := p.ruleOf(repo)
	tags = slices.DeleteFunc(tags, func(t int32) bool { return mirror.MatchAny(rule.Keep, p.tags.at(t).name) })
	slices.SortFunc(tags, func(a, b int32) int {
		return cmp.Or(cmp.Compare(p.tags.at(b).updated, p.tags.at(a).updated), cmp.Compare(b, a))
	})
	for i, index := range tags {
		t := p.tags.at(index)
		if rule.expires(i, p.age(p.nodes.at(t.node).lastUse)) && p.applies(rule, t.node) {
			why := p.protectedReason(t.node)
			t.deleted, t.inGrace = why == "", why == reasonGrace
		}
	}
}

// expires reports whether the rule deletes the i-th newest tag, whose image has not been used for unused.
func (r *Rule) expires(i int, unused time.Duration) bool {
	if r.KeepNewest == 0 && r.DropUnusedFor == 0 {
		return false
	}
	return i >= r.KeepNewest && unused > time.Duration(r.DropUnusedFor)
}

// applies reports whether a rule may delete a node with its dependents.
func (p *planner) applies(rule *Rule, index int32) bool {
	n := p.nodes.at(index)
	if n.flags&notMirrored != 0 && !rule.IncludePushed {
		return false
	}
	return n.origin != mirrored || p.fetchError(n.repo) == nil
}

// reason returns why the rule deletes a tag, or a superseded image.
func (r *Rule) reason(superseded bool) string {
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

// findTagMoves collects, by repository, when its tags were made or moved.
func (p *planner) findTagMoves() {
	p.tagMoves = make(map[int32][]int64)
	for _, t := range p.tags.all() {
		if repo := p.nodes.at(t.node).repo; p.rules[repo] != nil && p.rules[repo].DropSupersededAfter > 0 && !t.referrer {
			p.tagMoves[repo] = append(p.tagMoves[repo], t.updated)
		}
	}
	for _, moves := range p.tagMoves {
		slices.Sort(moves)
	}
}

// superseded reports whether the retention rule of its repository deletes an untagged node because a tag moved on.
func (p *planner) superseded(index int32) bool {
	n := p.nodes.at(index)
	rule := p.ruleOf(n.repo)
	if rule == nil || rule.DropSupersededAfter == 0 || p.age(n.lastUse) <= time.Duration(rule.DropSupersededAfter) || !p.applies(rule, index) {
		return false
	}
	moves := p.tagMoves[n.repo]
	first, _ := slices.BinarySearch(moves, n.added+1)
	return first < len(moves) && p.age(moves[first]) > time.Duration(rule.DropSupersededAfter)
}

// hasKeptTag reports whether a node has a tag that a retention rule keeps.
func (p *planner) hasKeptTag(index int32) bool {
	rule := p.ruleOf(p.nodes.at(index).repo)
	return rule != nil && slices.ContainsFunc(p.tagsOf.of(index), func(t int32) bool { return mirror.MatchAny(rule.Keep, p.tags.at(t).name) })
}
