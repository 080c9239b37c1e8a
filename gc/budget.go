package gc

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// applyBudget finds how many images are deleted: all that the policy deletes in any case, and then as many as the
// budget needs.
func (p *Plan) applyBudget() {
	evictions := slices.IndexFunc(p.images, func(u image) bool { return u.class >= evictable })
	if evictions < 0 {
		evictions = len(p.images)
	}
	p.firstKept = int32(evictions)
	gain := p.Totals.Bytes
	for _, u := range p.images[:evictions] {
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
	b.Shortfall = b.shortfall(gain)
}

// set computes the limits of a policy in bytes.
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

// need returns how many bytes have to be freed, beyond gain, to get from above a limit to its target.
func (b *Budget) need(gain int64) (need int64) {
	if stored := b.Stored - gain; b.MaxSize > 0 && stored > b.MaxSize {
		need = stored - b.ShrinkTo
	}
	if free := b.DiskFree + gain; free < b.KeepFree {
		need = max(need, b.FreeUpTo-free)
	}
	return need
}

// shortfall returns by how many bytes a gain misses the limits.
func (b *Budget) shortfall(gain int64) (missing int64) {
	if b.MaxSize > 0 {
		missing = max(0, b.Stored-gain-b.MaxSize)
	}
	return max(missing, b.KeepFree-b.DiskFree-gain, 0)
}

// addKeepReasons adds up what is kept by reason, and explains a shortfall.
func (p *Plan) addKeepReasons() {
	reasons := make([]KeepReason, len(p.reasons))
	for index, u := range p.images {
		if u.class != kept || len(p.members.of(int32(index))) == 0 {
			continue
		}
		r := &reasons[u.reason]
		r.Reason = p.reasons[u.reason]
		r.Code = reasonCodes[r.Reason]
		r.Images++
		for _, n := range p.members.of(int32(index)) {
			for file := range p.filesOf(n) {
				if b := p.blobs.at(file); !b.counted {
					b.counted = true
					r.Blobs++
					r.Bytes += b.size
				}
			}
		}
	}
	unused := KeepReason{Reason: reasonUnused, Code: reasonCodes[reasonUnused]}
	for _, b := range p.blobs.all() {
		if b.lastImage == noImage && b.keep {
			unused.Blobs++
			unused.Bytes += b.size
		}
	}
	for _, r := range append(reasons, unused) {
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

// shortfallReason returns why a budget is missed: the largest reasons to keep content.
func (p *Plan) shortfallReason() string {
	const maxReasons = 3
	var parts []string
	for _, r := range p.KeepReasons[:min(maxReasons, len(p.KeepReasons))] {
		parts = append(parts, humanize.IBytes(uint64(r.Bytes))+" ("+r.Reason+")")
	}
	if parts == nil {
		return "nothing may be deleted"
	}
	return "the policy keeps " + strings.Join(parts, "; ")
}
