package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// verify compares with its digest everything that would go out, and has what is damaged fetched again. An image of which
// something cannot be fetched again does not go out. It returns what goes out then.
func (p *planner) verify(ctx context.Context, doc *bundle.Document) (*bundle.Document, error) {
	lost := make(map[digest.Digest]error)
	check := func(d digest.Digest) error {
		err := p.service.store.Verify(ctx, d)
		if err != nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			return err
		}
		if err != nil {
			err = p.service.mirror.RecoverDamaged(ctx, err)
		}
		if err != nil {
			lost[d] = err
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
	if len(lost) == 0 {
		return doc, nil
	}
	p.dropDamaged(lost)
	if err := p.failure(); err != nil {
		return nil, err
	}
	return p.describe(ctx)
}

// drop takes out the images that need what was lost, and what refers to them alone.
func (p *planner) dropDamaged(lost map[digest.Digest]error) {
	dropped := make(map[digest.Digest]bool)
	for _, image := range p.sorted() {
		err := image.item.damage(lost, make(map[*item]bool))
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

// lost returns why an item cannot go out: what was lost of it and of what it needs.
func (it *item) damage(lost map[digest.Digest]error, seen map[*item]bool) error {
	if seen[it] || it.assumed {
		return nil
	}
	seen[it] = true
	if err := lost[it.Digest]; err != nil {
		return err
	}
	for _, needed := range it.needs {
		if err := needed.damage(lost, seen); err != nil {
			return err
		}
	}
	return nil
}
