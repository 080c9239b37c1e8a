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

// planner plans the content of a bundle. It needs about as much memory as the document of the bundle.
type planner struct {
	service *Service
	req     ExportRequest
	protection
	platforms mirror.Platforms // from req

	roots   []root // not planned yet
	images  map[mirror.Ref]*planned
	items   map[digest.Digest]*item
	walked  map[place]walked
	flat    map[place]flattened
	skipped []failure // images that may be missing
	failed  []failure // images whose absence fails the export
}

// root is a reference that is to be exported.
type root struct {
	ref     mirror.Ref
	why     string
	subject digest.Digest // the manifest that it refers to
	lenient bool          // skip the image if it is incomplete
	digest  digest.Digest // expected digest of the tag; empty for any
}

// check returns an error if the reference does not resolve to the digest that r expects.
func (r root) check(d digest.Digest) error {
	return mirror.Ref{Repo: r.ref.Repo, Tag: r.ref.Tag, Digest: r.digest}.Check(d)
}

// planned is an image that is exported.
type planned struct {
	bundle.Image
	ref  mirror.Ref // with a tag, or else a digest
	item *item
}

// item is a manifest or a blob that is exported, or that the destination has.
type item struct {
	bundle.File
	manifest  bool
	mediaType string
	repos     []string
	needs     []*item // blobs and children that are exported, without duplicates
	platforms []string
	sparse    bool   // the index, or an index in it, has entries that are not exported
	assumed   bool   // the destination has it
	base      string // ID of the bundle that contains it
}

// failure is an image that cannot be exported.
type failure struct {
	name string
	err  error
}

// place is a manifest in a repository.
type place struct {
	repo   mirror.Repo
	digest digest.Digest
}

// plan resolves a request. The caller releases the protection of the planner, also after an error.
func (svc *Service) plan(ctx context.Context, req ExportRequest) (*planner, error) {
	p := &planner{
		service: svc, req: req, protection: protection{store: svc.store},
		images: make(map[mirror.Ref]*planned), items: make(map[digest.Digest]*item), walked: make(map[place]walked), flat: make(map[place]flattened),
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

// fail records that a named image cannot be exported.
func (p *planner) fail(name string, err error) {
	if p.req.SkipMissing {
		p.skipped = append(p.skipped, failure{name, err})
		return
	}
	p.failed = append(p.failed, failure{name, err})
}

// planRoot adds the image of a root. It returns an error only if the store fails.
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
			image.Digest = r.digest // the request defines the tag
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
			flat, err := p.flatten(ctx, place{r.ref.Repo, image.Digest})
			if err != nil {
				return nil, err
			}
			if r.ref.Digest != "" && flat != image.Digest {
				return nil, mirror.Errorf(mirror.CodeManifestUnknown, "is the digest of an index, which --flatten leaves out: name the tag, or do not flatten")
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

// isFault reports whether err is a failure of the store or a canceled request, and not a defect of the content.
func isFault(err error) bool {
	return err != nil && mirror.CodeOf(err) == mirror.CodeUnknown || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// maxNamed is the maximum number of names in an error message.
const maxNamed = 10

// failure returns an error if there can be no bundle.
func (p *planner) failure() error {
	failed := p.failed
	if len(failed) == 0 && len(p.images) == 0 {
		failed = p.skipped
		if len(failed) == 0 {
			return mirror.Errorf(mirror.CodeManifestUnknown, "there is nothing to export: no image is stored under a tag or by its digest")
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
	err := mirror.Errorf(mirror.CodeManifestUnknown, "%d of the requested images cannot be exported, so fetch or omit them: %s", len(failed), text)
	err.Detail = detail
	return err
}

// byCause groups failures by their reasons.
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
		are, isState := strings.CutPrefix(reason, "is ")
		switch {
		case !isState:
			reason = joinNames(names[reason]) + ": " + reason
		case len(names[reason]) == 1:
			reason = names[reason][0] + " " + reason
		default:
			reason = joinNames(names[reason]) + " are " + are
		}
		causes = append(causes, reason)
	}
	return causes
}

// sorted returns the images in the order of their references.
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
