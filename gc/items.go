package gc

import (
	"cmp"
	"context"
	"iter"

	"airmirror/mirror"
)

// goingBlob is a file that goes.
type goingBlob struct {
	digest packed
	size   int64
	use    int64 // when it was last added, linked or asked for
	unit   int32 // that it goes with; alone if it goes with none
}

// listBlobs notes the digests of the files that go.
func (p *Plan) listBlobs(ctx context.Context, s mirror.Survey) error {
	if p.Totals.Bytes == 0 && p.Totals.Images == 0 {
		return nil
	}
	place := int32(0)
	for found, err := range s.Blobs() {
		if err != nil {
			continue // as at the first time
		}
		if place%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		if b := p.blobs.at(place); p.leaves(b) {
			p.Totals.Blobs++
			if b.last == alone || p.opts.ListBlobs {
				p.going.add(goingBlob{pack(found.Digest), b.size, nanos(found.Fresh), b.last})
			}
		}
		place++
	}
	return ctx.Err()
}

const (
	whyBlob   = "no manifest uses it"
	whyUpload = "nothing came for long"
	whyOrphan = "a crash left it: the index does not name it"

	whyRemoved = "removed by name"
)

// Items yields everything that goes, in the order in which it goes; the blobs that go with images come after all images,
// and only with [Options.ListBlobs].
func (p *Plan) Items() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, b := range p.going.all() {
			if b.unit == alone && !yield(p.blobItem(b, b.size, whyBlob)) {
				return
			}
		}
		for t := range p.tagsAlone() {
			if !yield(p.tagItem(t)) {
				return
			}
		}
		for unit := range p.goingUnits() {
			if !yield(p.item(unit)) {
				return
			}
		}
		for _, b := range p.going.all() {
			if b.unit != alone && !yield(p.blobItem(b, 0, "goes with "+p.name(b.unit))) {
				return
			}
		}
		for _, u := range p.uploads {
			if !yield(p.uploadItem(u)) {
				return
			}
		}
		for _, o := range p.orphans {
			if !yield(p.orphanItem(o)) {
				return
			}
		}
	}
}

// Protected yields all images that stay for a reason, by the reasons' order in [Plan.Protection].
func (p *Plan) Protected() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, r := range p.Protection {
			for place := range int32(len(p.units)) {
				u := p.units[place]
				if u.class != stays || p.reasons[u.why] != r.Why || len(p.members.of(place)) == 0 {
					continue
				}
				if !yield(p.item(place)) {
					return
				}
			}
		}
	}
}

// goingUnits yields the units that go and have something of their own.
func (p *Plan) goingUnits() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for place := range p.cut {
			if p.goes(place) && len(p.members.of(place)) > 0 && !yield(place) {
				return
			}
		}
	}
}

// tagsAlone yields the tags that a rule drops and that point at what stays.
func (p *Plan) tagsAlone() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for place, t := range p.tags.all() {
			if t.dropped && !p.goes(p.nodes.at(t.node).unit) && !yield(place) {
				return
			}
		}
	}
}

func (p *Plan) tagItem(place int32) Item {
	t := p.tags.at(place)
	n := p.nodes.at(t.node)
	return Item{Kind: Tag, Name: p.names[n.repo] + ":" + t.name, Digest: n.digest.digest(), LastUsed: p.shown(moment(n.use)), Why: p.whyTag(n)}
}

// whyTag says why a tag of n goes alone.
func (p *Plan) whyTag(n *node) string {
	if p.removal != nil {
		return whyRemoved
	}
	return p.ruleOf(n.repo).why(false)
}

// item describes a unit.
func (p *Plan) item(place int32) Item {
	u := p.units[place]
	item := Item{Kind: Manifest, Name: p.name(place), Digest: p.nodes.at(u.root).digest.digest(), Manifests: len(p.members.of(place)), Size: u.size,
		LastUsed: p.shown(moment(p.nodes.at(u.root).use)), Why: p.reasons[u.why]}
	if p.goes(place) {
		item.Freed = u.freed
	}
	for _, n := range p.members.of(place) {
		for _, t := range p.named.of(n) {
			item.Kind = Image
			item.Tags = append(item.Tags, p.tags.at(t).name)
		}
	}
	return item
}

// name names a unit: by a tag of its root, if it has one, or else by digest.
func (p *Plan) name(unit int32) string {
	u := p.units[unit]
	n := p.nodes.at(u.root)
	for _, t := range p.named.of(u.root) {
		return p.names[n.repo] + ":" + p.tags.at(t).name
	}
	return p.names[n.repo] + "@" + n.digest.digest().String()
}

func (p *Plan) blobItem(b *goingBlob, freed int64, why string) Item {
	d := b.digest.digest()
	return Item{Kind: Blob, Name: d.String(), Digest: d, Size: b.size, Freed: freed, LastUsed: p.shown(moment(b.use)), Why: why}
}

func (p *Plan) uploadItem(u mirror.UploadInfo) Item {
	return Item{Kind: Upload, Name: cmp.Or(u.Repo, "part") + " " + u.ID, Size: u.Size, Freed: u.Size, LastUsed: p.shown(u.Written), Why: whyUpload}
}

func (p *Plan) orphanItem(o mirror.Orphan) Item {
	return Item{Kind: Orphan, Name: o.Digest.String(), Digest: o.Digest, Size: o.Size, Freed: o.Size, LastUsed: p.shown(o.Written), Why: whyOrphan}
}
