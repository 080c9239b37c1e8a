package gc

import (
	"cmp"
	"context"
	"iter"

	"airmirror/mirror"
)

// deletedBlob is a file that is deleted.
type deletedBlob struct {
	digest packed
	size   int64
	use    int64 // when it was last added, linked or requested
	image  int32 // that it is deleted with; noImage if none
}

// listBlobs collects the digests of the files that are deleted.
func (p *Plan) listBlobs(ctx context.Context, s mirror.Survey) error {
	if p.Totals.Bytes == 0 && p.Totals.Images == 0 {
		return nil
	}
	index := int32(0)
	for found, err := range s.Blobs() {
		if err != nil {
			continue // loadBlobs counted it
		}
		if index%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		if b := p.blobs.at(index); p.deletesBlob(b) {
			p.Totals.Blobs++
			if b.lastImage == noImage || p.opts.ListBlobs {
				p.deletedBlobs.add(deletedBlob{pack(found.Digest), b.size, nanos(found.Used), b.lastImage})
			}
		}
		index++
	}
	return ctx.Err()
}

// Candidates yields everything that is deleted, in the order of deletion. Blobs that are deleted with an image come
// after all images, and only with [Options.ListBlobs].
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
		for image := range p.deletedImages() {
			if !yield(p.imageCandidate(image)) {
				return
			}
		}
		for _, b := range p.deletedBlobs.all() {
			if b.image != noImage && !yield(p.blobCandidate(b, 0, "used only by "+p.imageName(b.image))) {
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

// KeptImages yields all images that are kept, in the order of [Plan.KeepReasons].
func (p *Plan) KeptImages() iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		for _, r := range p.KeepReasons {
			for index := range int32(len(p.images)) {
				img := p.images[index]
				if img.class != kept || p.reasons[img.reason] != r.Reason || len(p.members.of(index)) == 0 {
					continue
				}
				if !yield(p.imageCandidate(index)) {
					return
				}
			}
		}
	}
}

// deletedImages yields the images that are deleted, except for those whose nodes all belong to later images.
func (p *Plan) deletedImages() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for index := range p.firstKept {
			if p.deletesImage(index) && len(p.members.of(index)) > 0 && !yield(index) {
				return
			}
		}
	}
}

// deletedTags yields the tags that are deleted although their image is kept.
func (p *Plan) deletedTags() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for index, t := range p.tags.all() {
			if t.deleted && !p.deletesImage(p.nodes.at(t.node).image) && !yield(index) {
				return
			}
		}
	}
}

func (p *Plan) tagCandidate(index int32) Candidate {
	t := p.tags.at(index)
	n := p.nodes.at(t.node)
	return Candidate{Kind: Tag, Name: p.names[n.repo] + ":" + t.name, Digest: n.digest.digest(), LastUsed: p.wallClock(timeOf(n.lastUse)), Reason: p.tagReason(n), Code: reasonCodes[p.tagReason(n)]}
}

// tagReason returns why a tag of n is deleted without its image.
func (p *Plan) tagReason(n *node) string {
	if p.removal != nil {
		return reasonRemoved
	}
	return p.ruleOf(n.repo).reason(false)
}

// imageCandidate describes an image.
func (p *Plan) imageCandidate(index int32) Candidate {
	img := p.images[index]
	c := Candidate{Kind: Manifest, Name: p.imageName(index), Digest: p.nodes.at(img.root).digest.digest(), Manifests: len(p.members.of(index)), Size: img.size,
		LastUsed: p.wallClock(timeOf(p.nodes.at(img.root).lastUse)), Reason: p.reasons[img.reason], Code: reasonCodes[p.reasons[img.reason]]}
	if p.deletesImage(index) {
		c.Freed = img.freed
	}
	for _, n := range p.members.of(index) {
		for _, t := range p.tagsOf.of(n) {
			c.Kind = Image
			c.Tags = append(c.Tags, p.tags.at(t).name)
		}
	}
	return c
}

// imageName returns the name of an image: a tag of its root or, if there is none, its digest.
func (p *Plan) imageName(image int32) string {
	root := p.images[image].root
	n := p.nodes.at(root)
	for _, t := range p.tagsOf.of(root) {
		return p.names[n.repo] + ":" + p.tags.at(t).name
	}
	return p.names[n.repo] + "@" + n.digest.digest().String()
}

func (p *Plan) blobCandidate(b *deletedBlob, freed int64, reason string) Candidate {
	d := b.digest.digest()
	return Candidate{Kind: Blob, Name: d.String(), Digest: d, Size: b.size, Freed: freed, LastUsed: p.wallClock(timeOf(b.use)), Reason: reason, Code: reasonCodes[reason]}
}

func (p *Plan) uploadCandidate(u mirror.UploadInfo) Candidate {
	return Candidate{Kind: Upload, Name: cmp.Or(u.Repo, "partial blob") + " " + u.ID, Size: u.Size, Freed: u.Size, LastUsed: p.wallClock(u.Written), Reason: reasonUpload, Code: reasonCodes[reasonUpload]}
}

func (p *Plan) orphanCandidate(o mirror.Orphan) Candidate {
	return Candidate{Kind: Orphan, Name: o.Digest.String(), Digest: o.Digest, Size: o.Size, Freed: o.Size, LastUsed: p.wallClock(o.Written), Reason: reasonOrphan, Code: reasonCodes[reasonOrphan]}
}
