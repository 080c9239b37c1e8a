package proxy

import (
	"cmp"
	"slices"

	"airmirror/mirror"
)

const (
	// maxWants bounds how many wants are kept, so that a scanner cannot fill the disk. One client has half of them if it is
	// alone. When it asks for more, those of its own are forgotten that were asked for least often and longest ago; when
	// there is no room for one that has fewer, it is those of the client that has most. See [mirror.Shares].
	maxWants = 20_000
	// wantsDropped says that a tenth of a client's wants is forgotten at a time, so that not every miss looks for the least
	// wanted.
	wantsDropped = 10
)

// enter takes a place for a want of who, or makes room for it.
func (w *wants) enter(want *ownedWant, who string) {
	if !w.shares.Take(who, 1) {
		w.forgetLeast(w.shares.Yields(who))
		w.shares.Force(who, 1)
	}
	want.owner = who
	w.m[want.Ref] = want
}

// charge has a want count for who asks for it as well, if that is a client with fewer: one that asks for what others want
// is not to have it forgotten with its own.
func (w *wants) charge(want *ownedWant, who string) {
	if want.owner == who || w.shares.Of(who) >= w.shares.Of(want.owner) {
		return
	}
	w.shares.Give(want.owner, 1)
	w.shares.Force(who, 1)
	want.owner = who
}

// forgetLeast makes room among the wants of a client, or among all if it has none. What a client asks for endlessly in one
// repository goes before what it asks for elsewhere: there can be many machines behind one address.
func (w *wants) forgetLeast(who string) {
	var all []*ownedWant
	repos := map[string]int{}
	for _, want := range w.m {
		if want.owner == who {
			all = append(all, want)
			repos[want.repo()]++
		}
	}
	if len(all) == 0 { // there are as many clients as wants
		for _, want := range w.m {
			if len(all) == 0 || lessWanted(&want.Want, &all[0].Want) < 0 {
				all = []*ownedWant{want}
			}
		}
	}
	n := max(1, len(all)/wantsDropped)
	flood := func(want *ownedWant) int {
		if repos[want.repo()] > n {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b *ownedWant) int {
		return cmp.Or(cmp.Compare(flood(a), flood(b)), lessWanted(&a.Want, &b.Want))
	})
	for _, want := range all[:n] {
		w.drop(want.Ref)
	}
}

// repo is the repository of a want, as text.
func (w *ownedWant) repo() string {
	ref, err := mirror.ParseRef(w.Ref)
	if err != nil {
		return w.Ref
	}
	return ref.Repo.String()
}
