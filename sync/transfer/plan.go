package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// planner finds out what has to go: everything that is in memory of it is about as much as the document of the bundle.
type planner struct {
	service *Service
	req     ExportRequest
	protection
	platforms mirror.Platforms // of req

	roots   []root // to be looked at
	images  map[mirror.Ref]*planned
	items   map[digest.Digest]*item
	walked  map[place]walked
	skipped []failure // all images may lack these
	failed  []failure // what keeps there from being a bundle
}

// root is a reference that is to go out.
type root struct {
	ref     mirror.Ref
	why     string
	subject digest.Digest // what it refers to
	lenient bool          // it may stay behind
	digest  digest.Digest // what a tag is said to point at; "" if nothing is said
}

// check returns why a root is not d, if it is said to be something else.
func (r root) check(d digest.Digest) error {
	return mirror.Ref{Repo: r.ref.Repo, Tag: r.ref.Tag, Digest: r.digest}.Check(d)
}

// planned is an image that goes out.
type planned struct {
	bundle.Image
	ref  mirror.Ref // by its tag, or else its digest
	item *item
}

// item is a manifest or a blob that goes out, or that the other side has.
type item struct {
	bundle.File
	manifest  bool
	mediaType string
	repos     []string
	needs     []*item // blobs, and children that go along; each once
	platforms []string
	sparse    bool   // of an index, or one inside it, not all entries go along
	assumed   bool   // the other side has it
	base      string // the ID of the bundle that had it
}

// failure is an image that cannot go out, and why.
type failure struct {
	name string
	err  error
}

// place is a manifest in a repository.
type place struct {
	repo   mirror.Repo
	digest digest.Digest
}

// plan finds out what a request means. The caller releases what it protects.
func (svc *Service) plan(ctx context.Context, req ExportRequest) (*planner, error) {
	p := &planner{
		service: svc, req: req, protection: protection{store: svc.store},
		images: make(map[mirror.Ref]*planned), items: make(map[digest.Digest]*item), walked: make(map[place]walked),
	}
	if err := req.check(); err != nil {
		return p, err
	}
	var err error
	if p.platforms, err = mirror.ParsePlatforms(req.Platforms); err != nil {
		return p, err
	}
	ctx = mirror.WithoutUsage(ctx)
	if err := p.gather(ctx); err != nil {
		return p, err
	}
	for len(p.roots) > 0 {
		next := p.roots[0]
		p.roots = p.roots[1:]
		if err := p.planRoot(ctx, next); err != nil {
			return p, err
		}
	}
	return p, p.failure()
}

func (p *planner) add(r root) {
	r.lenient = r.lenient || r.why == bundle.WhyAll || r.why == bundle.WhyWanted
	p.roots = append(p.roots, r)
}

// fail notes that something cannot go out that was named.
func (p *planner) fail(name string, err error) {
	if p.req.SkipMissing {
		p.skipped = append(p.skipped, failure{name, err})
		return
	}
	p.failed = append(p.failed, failure{name, err})
}

// root adds an image, and what refers to it. The error is a fault of the store.
func (p *planner) planRoot(ctx context.Context, r root) error {
	if before := p.images[r.ref]; before != nil {
		before.Subject = cmp.Or(before.Subject, r.subject)
		if err := r.check(before.Digest); err != nil {
			p.fail(r.ref.String(), err)
		}
		return nil
	}
	image, err := p.planImage(ctx, r)
	switch {
	case err == nil:
		p.images[r.ref] = image
		return nil
	case isFault(err):
		return err
	case r.lenient:
		p.skipped = append(p.skipped, failure{r.ref.String(), err})
	default:
		p.fail(r.ref.String(), err)
	}
	return nil
}

func (p *planner) planImage(ctx context.Context, r root) (*planned, error) {
	image := bundle.Image{Repository: r.ref.Repo.String(), Tag: r.ref.Tag, Digest: r.ref.Digest, Why: r.why, Subject: r.subject}
	if r.ref.Digest == "" {
		tag, err := p.service.store.Tag(ctx, r.ref.Repo, r.ref.Tag)
		switch {
		case mirror.CodeOf(err) == mirror.CodeManifestUnknown && r.digest != "":
			image.Digest = r.digest // who asks for it says what the tag is
		case mirror.CodeOf(err) == mirror.CodeManifestUnknown:
			return nil, errNotStored
		case err != nil:
			return nil, err
		default:
			image.Digest, image.Origin = tag.Digest, string(tag.Origin)
		}
		if err := r.check(image.Digest); err != nil {
			return nil, err
		}
	}
	if r.why != bundle.WhyReferrer {
		if p.req.Flatten {
			flat, err := p.flatten(ctx, place{r.ref.Repo, image.Digest}, 0)
			if err != nil {
				return nil, err
			}
			if r.ref.Digest != "" && flat != image.Digest {
				return nil, mirror.Errorf(mirror.CodeManifestUnknown, "is named by the digest of an index, which would not be in the bundle: name its tag, or do not flatten")
			}
			image.Digest = flat
		}
		if err := p.checkPlatform(ctx, place{r.ref.Repo, image.Digest}, ""); err != nil {
			return nil, err
		}
	}
	w := p.walk(ctx, place{r.ref.Repo, image.Digest}, r.lenient)
	if w.err != nil {
		return nil, w.err
	}
	image.Origin, image.Platforms, image.Sparse = cmp.Or(image.Origin, string(w.origin)), w.item.platforms, w.item.sparse
	return &planned{image, r.ref, w.item}, nil
}

// isFault reports whether err is not about content but about the store or the request.
func isFault(err error) bool {
	return err != nil && mirror.CodeOf(err) == mirror.CodeUnknown || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// named is how many things an error names.
const maxNamed = 10

// failure says what keeps there from being a bundle, if anything does.
func (p *planner) failure() error {
	failed := p.failed
	if len(failed) == 0 && len(p.images) == 0 {
		failed = p.skipped
		if len(failed) == 0 {
			return mirror.Errorf(mirror.CodeManifestUnknown, "there is nothing to export: no image is stored here under a tag or its digest")
		}
	}
	if len(failed) == 0 {
		return nil
	}
	detail := make([]string, 0, len(failed))
	for _, f := range failed {
		detail = append(detail, f.name+": "+f.err.Error())
	}
	causes := byCause(failed)
	text := strings.Join(causes[:min(maxNamed, len(causes))], "; ")
	if more := len(causes) - maxNamed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	err := mirror.Errorf(mirror.CodeManifestUnknown, "%d of what was asked for cannot be exported: fetch it first, or leave it out: %s", len(failed), text)
	err.Detail = detail
	return err
}

// byCause joins the names of what cannot go out for the same reason.
func byCause(failed []failure) (causes []string) {
	names := make(map[string][]string)
	var reasons []string
	for _, f := range failed {
		reason := f.err.Error()
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], f.name)
	}
	for _, reason := range reasons {
		causes = append(causes, joinNames(names[reason])+": "+reason)
	}
	return causes
}

// sorted are the images in the order of their references.
func (p *planner) sorted() []*planned {
	list := make([]*planned, 0, len(p.images))
	for _, image := range p.images {
		list = append(list, image)
	}
	slices.SortFunc(list, func(a, b *planned) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Digest, b.Digest))
	})
	return list
}
