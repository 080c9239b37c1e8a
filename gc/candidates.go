package gc

import (
	"cmp"
	"context"
	"iter"

	"airmirror/mirror"
)

// deletedBlob is a file that goes.
type deletedBlob struct {
	digest packed
	size   int64
	use    int64 // when it was last added, linked or asked for
	image  int32 // that it goes with; alone if it goes with none
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
		if b := p.blobs.at(place); p.deletesBlob(b) {
			p.Totals.Blobs++
			if b.lastImage == noImage || p.opts.ListBlobs {
				p.deletedBlobs.add(deletedBlob{pack(found.Digest), b.size, nanos(found.Fresh), b.lastImage})
			}
		}
		place++
	}
	return ctx.Err()
}

const (
	reasonBlob   = "no manifest uses it"
	reasonUpload = "nothing came for long"
	reasonOrphan = "a crash left it: the index does not name it"

	reasonRemoved = "removed by name"
)

// Candidates yields everything that goes, in the order in which it goes; the blobs that go with images come after all images,
// and only with [Options.ListBlobs].
func (p *Plan) Candidates() iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		for _, b := range p.deletedBlobs.all() {
			if b.image == noImage && !yield(p.blobCandidate(b, b.size, reasonBlob)) {
				return
			}
		}
		for t := range p.deletedTags() {
			if !yield(p.tagCandidate(t)) {
				return
			}
		}
		for unit := range p.deletedImages() {
			if !yield(p.imageCandidate(unit)) {
				return
			}
		}
		for _, b := range p.deletedBlobs.all() {
			if b.image != noImage && !yield(p.blobCandidate(b, 0, "goes with "+p.imageName(b.image))) {
				return
			}
		}
		for _, u := range p.uploads {
			if !yield(p.uploadCandidate(u)) {
				return
			}
		}
		for _, o := range p.orphans {
			if !yield(p.orphanCandidate(o)) {
				return
			}
		}
	}
}

// KeptImages yields all images that stay for a reason, by the reasons' order in [Plan.KeepReasons].
func (p *Plan) KeptImages() iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		for _, r := range p.KeepReasons {
			for place := range int32(len(p.images)) {
				u := p.images[place]
				if u.class != kept || p.reasons[u.reason] != r.Reason || len(p.members.of(place)) == 0 {
					continue
				}
				if !yield(p.imageCandidate(place)) {
					return
				}
			}
		}
	}
}

// deletedImages yields the units that go and have something of their own.
func (p *Plan) deletedImages() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for place := range p.firstKept {
			if p.deletesImage(place) && len(p.members.of(place)) > 0 && !yield(place) {
				return
			}
		}
	}
}

// deletedTags yields the tags that a rule drops and that point at what stays.
func (p *Plan) deletedTags() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for place, t := range p.tags.all() {
			if t.deleted && !p.deletesImage(p.nodes.at(t.node).image) && !yield(place) {
				return
			}
		}
	}
}

func (p *Plan) tagCandidate(place int32) Candidate {
	t := p.tags.at(place)
	n := p.nodes.at(t.node)
	return Candidate{Kind: Tag, Name: p.names[n.repo] + ":" + t.name, Digest: n.digest.digest(), LastUsed: p.wallClock(timeOf(n.lastUse)), Reason: p.tagReason(n)}
}

// tagReason says why a tag of n goes alone.
func (p *Plan) tagReason(n *node) string {
	if p.removal != nil {
		return reasonRemoved
	}
	return p.ruleOf(n.repo).reason(false)
}

// item describes a unit.
func (p *Plan) imageCandidate(place int32) Candidate {
	u := p.images[place]
	item := Candidate{Kind: Manifest, Name: p.imageName(place), Digest: p.nodes.at(u.root).digest.digest(), Manifests: len(p.members.of(place)), Size: u.size,
		LastUsed: p.wallClock(timeOf(p.nodes.at(u.root).lastUse)), Reason: p.reasons[u.reason]}
	if p.deletesImage(place) {
		item.Freed = u.freed
	}
	for _, n := range p.members.of(place) {
		for _, t := range p.tagsOf.of(n) {
			item.Kind = Image
			item.Tags = append(item.Tags, p.tags.at(t).name)
		}
	}
	return item
}

// name names a unit: by a tag of its root, if it has one, or else by digest.
func (p *Plan) imageName(unit int32) string {
	u := p.images[unit]
	n := p.nodes.at(u.root)
	for _, t := range p.tagsOf.of(u.root) {
		return p.names[n.repo] + ":" + p.tags.at(t).name
	}
	return p.names[n.repo] + "@" + n.digest.digest().String()
}

func (p *Plan) blobCandidate(b *deletedBlob, freed int64, why string) Candidate {
	d := b.digest.digest()
	return Candidate{Kind: Blob, Name: d.String(), Digest: d, Size: b.size, Freed: freed, LastUsed: p.wallClock(timeOf(b.use)), Reason: why}
}

func (p *Plan) uploadCandidate(u mirror.UploadInfo) Candidate {
	return Candidate{Kind: Upload, Name: cmp.Or(u.Repo, "part") + " " + u.ID, Size: u.Size, Freed: u.Size, LastUsed: p.wallClock(u.Written), Reason: reasonUpload}
}

func (p *Plan) orphanCandidate(o mirror.Orphan) Candidate {
	return Candidate{Kind: Orphan, Name: o.Digest.String(), Digest: o.Digest, Size: o.Size, Freed: o.Size, LastUsed: p.wallClock(o.Written), Reason: reasonOrphan}
}
