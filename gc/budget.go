package gc

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// applyBudget finds how many of the units go, in their order.
func (p *Plan) applyBudget() {
	choice := slices.IndexFunc(p.images, func(u image) bool { return u.class >= evictable })
	if choice < 0 {
		choice = len(p.images)
	}
	p.firstKept = int32(choice)
	gain := p.Totals.Bytes
	for _, u := range p.images[:choice] {
		gain += u.freed
	}
	b := &p.Budget
	b.set(p.opts.Policy)
	b.Need = b.need(gain)
	missing := b.Need
	for int(p.firstKept) < len(p.images) && p.images[p.firstKept].class == evictable && missing > 0 {
		missing -= p.images[p.firstKept].freed
		gain += p.images[p.firstKept].freed
		p.firstKept++
	}
	b.Shortfall = b.short(gain)
}

// set works out the budgets of a policy.
func (b *Budget) set(policy Policy) {
	if policy.MaxSize > 0 {
		b.MaxSize, b.ShrinkTo = int64(policy.MaxSize), int64(policy.ShrinkTo)
		if b.ShrinkTo == 0 {
			b.ShrinkTo = b.MaxSize / 10 * 9
		}
	}
	if !policy.KeepFree.IsZero() {
		b.KeepFree = policy.KeepFree.Of(b.DiskTotal)
		b.FreeUpTo = policy.FreeUpTo.Of(b.DiskTotal)
		if policy.FreeUpTo.IsZero() {
			b.FreeUpTo = b.KeepFree + b.KeepFree/5
		}
		b.FreeUpTo = min(max(b.FreeUpTo, b.KeepFree), b.DiskTotal)
	}
}

// need returns how much more than gain has to be freed to get from beyond a budget to where it is met amply.
func (b *Budget) need(gain int64) (need int64) {
	if held := b.Stored - gain; b.MaxSize > 0 && held > b.MaxSize {
		need = held - b.ShrinkTo
	}
	if free := b.DiskFree + gain; free < b.KeepFree {
		need = max(need, b.FreeUpTo-free)
	}
	return need
}

// short returns by how much a gain misses the budgets.
func (b *Budget) short(gain int64) (short int64) {
	if b.MaxSize > 0 {
		short = max(0, b.Stored-gain-b.MaxSize)
	}
	return max(short, b.KeepFree-b.DiskFree-gain, 0)
}

// protect works out what stays for which reason, and why a budget cannot be met.
func (p *Plan) addKeepReasons() {
	reasons := make([]KeepReason, len(p.reasons))
	for place, u := range p.images {
		if u.class != kept || len(p.members.of(int32(place))) == 0 {
			continue
		}
		r := &reasons[u.reason]
		r.Reason = p.reasons[u.reason]
		r.Images++
		for _, n := range p.members.of(int32(place)) {
			for file := range p.filesOf(n) {
				if b := p.blobs.at(file); !b.counted {
					b.counted = true
					r.Blobs++
					r.Bytes += b.size
				}
			}
		}
	}
	fresh := KeepReason{Reason: "without a manifest, but added, linked or asked for within the grace time"}
	for _, b := range p.blobs.all() {
		if b.lastImage == noImage && b.keep {
			fresh.Blobs++
			fresh.Bytes += b.size
		}
	}
	for _, r := range append(reasons, fresh) {
		if r.Images+r.Blobs > 0 {
			p.KeepReasons = append(p.KeepReasons, r)
		}
	}
	slices.SortFunc(p.KeepReasons, func(a, b KeepReason) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Images, a.Images), strings.Compare(a.Reason, b.Reason))
	})
	if p.Budget.Shortfall > 0 {
		p.Budget.Reason = p.shortfallReason()
	}
}

// shortfallReason says what is in the way of a budget.
func (p *Plan) shortfallReason() string {
	const most = 3
	var parts []string
	for _, r := range p.KeepReasons[:min(most, len(p.KeepReasons))] {
		parts = append(parts, humanize.IBytes(uint64(r.Bytes))+" "+r.Reason)
	}
	if parts == nil {
		return "nothing is held that may go"
	}
	return "of what stays, " + strings.Join(parts, "; ")
}
