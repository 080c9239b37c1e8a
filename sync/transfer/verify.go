package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// verify verifies the digests of everything that would be exported, and fetches damaged content again. It drops images
// with content that cannot be fetched, and returns the document without them.
func (p *planner) verify(ctx context.Context, doc *bundle.Document) (*bundle.Document, error) {
	damaged := make(map[digest.Digest]error)
	check := func(d digest.Digest) error {
		err := p.service.store.Verify(ctx, d)
		if err != nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			return err
		}
		if err != nil {
			err = p.service.mirror.RecoverDamaged(ctx, err)
		}
		if err != nil {
			damaged[d] = err
		}
		return ctx.Err()
	}
	for _, m := range doc.Manifests {
		if err := check(m.Digest); err != nil {
			return nil, err
		}
	}
	for _, b := range doc.Blobs {
		if err := check(b.Digest); err != nil {
			return nil, err
		}
	}
	if len(damaged) == 0 {
		return doc, nil
	}
	p.dropDamaged(damaged)
	if err := p.failure(); err != nil {
		return nil, err
	}
	return p.describe(ctx)
}

// dropDamaged drops the images that need damaged content, and images that only refer to them.
func (p *planner) dropDamaged(damaged map[digest.Digest]error) {
	dropped := make(map[digest.Digest]bool)
	for _, image := range p.sorted() {
		err := image.item.damage(damaged, make(map[*item]bool))
		if err == nil {
			continue
		}
		delete(p.images, image.ref)
		dropped[image.Digest] = true
		name := image.ref.String()
		if image.Why == bundle.WhyNamed {
			p.fail(name, err)
		} else {
			p.skipped = append(p.skipped, failure{name, err})
		}
	}
	for _, image := range p.sorted() {
		if image.Why == bundle.WhyReferrer && dropped[image.Subject] {
			delete(p.images, image.ref)
		}
	}
}

// damage returns the error of the first damaged item among an item and everything that it needs, or nil.
func (it *item) damage(damaged map[digest.Digest]error, seen map[*item]bool) error {
	if seen[it] || it.assumed {
		return nil
	}
	seen[it] = true
	if err := damaged[it.Digest]; err != nil {
		return err
	}
	for _, needed := range it.needs {
		if err := needed.damage(damaged, seen); err != nil {
			return err
		}
	}
	return nil
}
