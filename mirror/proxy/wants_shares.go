package proxy

import (
	"cmp"
	"slices"

	"airmirror/mirror"
)

const (
	// maxWants is the maximum number of wants, so that a scanner cannot fill the disk. A client that is alone has half of
	// them. If it requests more, its own wants with the fewest and oldest requests are removed. If a client with fewer
	// wants needs room, those of the client with the most are removed. See [mirror.Shares].
	maxWants = 20_000
	// evictedFraction says that a tenth of the wants of a client is removed at a time, so that not every miss searches
	// for the least wanted.
	evictedFraction = 10
)

// insert adds a want for owner, and makes room for it if necessary.
func (w *wants) insert(want *ownedWant, owner string) {
	if !w.shares.Take(owner, 1) {
		w.evict(w.shares.Yields(owner))
		w.shares.Force(owner, 1)
	}
	want.owner = owner
	w.all[want.Ref] = want
}

// reassign makes a want count for owner if that has fewer wants than the current owner. Otherwise a client with many wants
// could have the wants of others evicted with its own by requesting them as well.
func (w *wants) reassign(want *ownedWant, owner string) {
	if want.owner == owner || w.shares.Of(owner) >= w.shares.Of(want.owner) {
		return
	}
	w.shares.Give(want.owner, 1)
	w.shares.Force(owner, 1)
	want.owner = owner
}

// evict removes wants of owner, or the least wanted of all if owner has none. Wants in a repository with very many of them
// are removed before those elsewhere: many machines may share one address.
func (w *wants) evict(owner string) {
	var candidates []*ownedWant
	perRepo := map[string]int{}
	for _, want := range w.all {
		if want.owner == owner {
			candidates = append(candidates, want)
			perRepo[want.repo()]++
		}
	}
	if len(candidates) == 0 { // there are as many clients as wants
		for _, want := range w.all {
			if len(candidates) == 0 || compareWants(&want.Want, &candidates[0].Want) < 0 {
				candidates = []*ownedWant{want}
			}
		}
	}
	n := max(1, len(candidates)/evictedFraction)
	rank := func(want *ownedWant) int {
		if perRepo[want.repo()] > n {
			return 0
		}
		return 1
	}
	slices.SortFunc(candidates, func(a, b *ownedWant) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), compareWants(&a.Want, &b.Want))
	})
	for _, want := range candidates[:n] {
		w.delete(want.Ref)
	}
}

// repo returns the repository of a want as text.
func (w *ownedWant) repo() string {
	ref, err := mirror.ParseRef(w.Ref)
	if err != nil {
		return w.Ref
	}
	return ref.Repo.String()
}
