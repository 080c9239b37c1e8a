package gc

import "slices"

// walk visits the nodes that can be reached from a node along edges, beginning with the node itself. It follows the
// edges of the nodes for which enter returns true.
func (g *graph) walk(along *edges, from int32, enter func(int32) bool) {
	stack := append(g.stack[:0], from)
	for len(stack) > 0 {
		index := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if enter(index) {
			stack = append(stack, along.of(index)...)
		}
	}
	g.stack = stack
}

// mark sets a flag of a node and of all nodes that can be reached from it along edges.
func (g *graph) mark(along *edges, from int32, flag nodeFlags) {
	g.walk(along, from, func(index int32) bool {
		n := g.nodes.at(index)
		first := n.flags&flag == 0
		n.flags |= flag
		return first
	})
}

// propagate passes use, transfers, origins and selection along the edges, from dependents to owners or the reverse.
// It visits each node a few times, whatever the edges are; the graph may have cycles.
func (g *graph) propagate(p Policy) {
	g.propagateUse()
	var transfers []int32
	for index, n := range g.nodes.all() {
		if n.flags&inUse != 0 {
			transfers = append(transfers, index)
			n.flags &^= inUse // so that mark visits its owners
		}
	}
	for _, index := range transfers {
		g.mark(&g.owners, index, inUse)
	}
	g.propagateSelected(p)
	for index, n := range g.nodes.all() {
		foreign, unmatched := n.origin != mirrored, n.origin != mirrored && n.flags&selected == 0
		for _, t := range g.tagsOf.of(index) {
			t := g.tags.at(t)
			foreign = foreign || t.origin != mirrored
			unmatched = unmatched || t.origin != mirrored && !p.selects(g.repoName(n), t.name) && (!t.referrer || n.flags&selected == 0)
		}
		if foreign {
			g.mark(&g.owners, index, notMirrored)
		}
		if unmatched {
			g.mark(&g.owners, index, unselected)
		}
	}
}

// propagateUse gives each node the latest use of its dependents.
func (g *graph) propagateUse() {
	latest := make([]int32, g.nodes.n)
	for index := range latest {
		latest[index] = int32(index)
	}
	order(latest, func(index int32) int64 { return -g.nodes.at(index).lastUse })
	done := make([]bool, g.nodes.n)
	for _, from := range latest {
		use := g.nodes.at(from).lastUse
		g.walk(&g.owners, from, func(index int32) bool {
			if done[index] {
				return false
			}
			done[index] = true
			g.nodes.at(index).lastUse = use
			return true
		})
	}
}

// propagateSelected marks the nodes that [Policy.Evict] selects, and their dependents.
func (g *graph) propagateSelected(p Policy) {
	if len(p.Evict) == 0 {
		return
	}
	for index, n := range g.nodes.all() {
		repo := g.repoName(n)
		if p.selects(repo, "") || p.selectsDigest(repo, n.digest.digest) || slices.ContainsFunc(g.tagsOf.of(index), func(t int32) bool { return p.selects(repo, g.tags.at(t).name) }) {
			g.mark(&g.dependents, index, selected)
		}
	}
}

func (g *graph) repoName(n *node) string { return g.names[n.repo] }
