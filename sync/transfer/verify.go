package transfer

import (
	"context"
	"runtime"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// maxVerifiers is the maximum number of blobs that are verified at a time. Each keeps a processor busy with its hash.
const maxVerifiers = 4

// verify verifies the digests of everything that would be exported, and fetches damaged content again. It drops images
// with content that cannot be fetched, and returns the document without them.
func (p *planner) verify(ctx context.Context, doc *bundle.Document) (*bundle.Document, error) {
	var digests []digest.Digest
	for _, m := range doc.Manifests {
		digests = append(digests, m.Digest)
	}
	for _, b := range doc.Blobs {
		digests = append(digests, b.Digest)
	}
	defects, err := p.service.verifyAll(ctx, digests)
	if err != nil {
		return nil, err
	}
	damaged := make(map[digest.Digest]error)
	for i, defect := range defects {
		if defect == nil {
			continue
		}
		if err := p.service.mirror.RecoverDamaged(ctx, defect); err != nil {
			damaged[digests[i]] = err
		}
		if err := ctx.Err(); err != nil {
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

// verifyAll verifies content, several blobs at a time. It returns what is wrong with each digest, or nil.
func (svc *Service) verifyAll(ctx context.Context, digests []digest.Digest) (defects []error, err error) {
	defects = make([]error, len(digests))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(min(maxVerifiers, runtime.GOMAXPROCS(0)))
	for i, d := range digests {
		if within.Err() != nil {
			break
		}
		group.Go(func() error {
			err := svc.store.Verify(within, d)
			if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
				defects[i], err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return defects, ctx.Err()
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
