package gc

import "slices"

// walk visits the places that can be reached along edges, beginning with from, and goes on from where enter says true.
func (g *graph) walk(along *edges, from int32, enter func(int32) bool) {
	stack := append(g.stack[:0], from)
	for len(stack) > 0 {
		place := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if enter(place) {
			stack = append(stack, along.of(place)...)
		}
	}
	g.stack = stack
}

// mark adds a bit to the state of a node and of all that can be reached along edges from it.
func (g *graph) mark(along *edges, from int32, bit nodeFlags) {
	g.walk(along, from, func(place int32) bool {
		n := g.nodes.at(place)
		first := n.flags&bit == 0
		n.flags |= bit
		return first
	})
}

// spread works out what holds for nodes because of what they bring, and which were asked for by name. Each node is visited
// a few times, however they refer to one another.
func (g *graph) propagate(p Policy) {
	g.propagateUse()
	var transfers []int32
	for place, n := range g.nodes.all() {
		if n.flags&inUse != 0 {
			transfers = append(transfers, place)
			n.flags &^= inUse // so that it is entered
		}
	}
	for _, place := range transfers {
		g.mark(&g.owners, place, inUse)
	}
	g.propagateSelected(p)
	for place, n := range g.nodes.all() {
		alien, missed := n.origin != mirrored, n.origin != mirrored && n.flags&selected == 0
		for _, t := range g.tagsOf.of(place) {
			t := g.tags.at(t)
			alien = alien || t.origin != mirrored
			missed = missed || t.origin != mirrored && !p.selects(g.repoName(n), t.name) && (!t.referrer || n.flags&selected == 0)
		}
		if alien {
			g.mark(&g.owners, place, notMirrored)
		}
		if missed {
			g.mark(&g.owners, place, unselected)
		}
	}
}

// propagateUse gives each node the latest use of all that it brings.
func (g *graph) propagateUse() {
	latest := make([]int32, g.nodes.n)
	for place := range latest {
		latest[place] = int32(place)
	}
	order(latest, func(place int32) int64 { return -g.nodes.at(place).lastUse })
	done := make([]bool, g.nodes.n)
	for _, from := range latest {
		use := g.nodes.at(from).lastUse
		g.walk(&g.owners, from, func(place int32) bool {
			if done[place] {
				return false
			}
			done[place] = true
			g.nodes.at(place).lastUse = use
			return true
		})
	}
}

// propagateSelected marks what was asked for by name, with all that it brings.
func (g *graph) propagateSelected(p Policy) {
	if len(p.Names) == 0 {
		return
	}
	for place, n := range g.nodes.all() {
		repo := g.repoName(n)
		if p.selects(repo, "") || p.selectsDigest(repo, n.digest.digest) || slices.ContainsFunc(g.tagsOf.of(place), func(t int32) bool { return p.selects(repo, g.tags.at(t).name) }) {
			g.mark(&g.dependents, place, selected)
		}
	}
}

func (g *graph) repoName(n *node) string { return g.names[n.repo] }
