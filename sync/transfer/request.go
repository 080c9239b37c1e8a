package transfer

import (
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
)

// ExportRequest says what a bundle is to carry, and for whom.
type ExportRequest struct {
	// Images, by name as [images] reads them. All of them must be held whole, unless SkipMissing is set.
	Images []string `json:"images,omitempty"`
	// Wants of another mirror. What is not held whole is left out: clients ask for things that do not exist, too.
	Wants []mirror.Want `json:"wants,omitempty"`
	// All takes every tag, and what was brought in by its digest; what is not held whole is left out.
	All bool `json:"all,omitempty"`
	// SkipMissing leaves out what of Images is not held whole.
	SkipMissing bool `json:"skipMissing,omitempty"`
	// Platforms, as os/arch or os/arch/variant, choose among those of an index; all that are held if it is empty.
	Platforms []string `json:"platforms,omitempty"`
	// Flatten takes the image of the one platform that is named in the place of an index, under its tag. It has another
	// digest, so what refers to the index stays behind.
	Flatten bool `json:"flatten,omitempty"`
	// Referrers takes signatures and everything else along that is held and refers to the images.
	Referrers bool `json:"referrers,omitempty"`
	// To names whom the bundle is for, within the grammar of tags; it may be empty.
	To string `json:"to,omitempty"`
	// Since leaves out what was sent there before: up to the bundle with this ID, or up to the "last" one.
	Since string `json:"since,omitempty"`
	// Verify has a plan read everything that would go out, as an export does: images of which something is damaged, and
	// cannot be fetched again, are left out.
	Verify bool `json:"verify,omitempty"`
	// Have says that the other side's receipt comes with the request: what it holds is left out.
	Have bool `json:"have,omitempty"`
	// Created is when the bundle says that it was made, as SOURCE_DATE_EPOCH has it; now if it is zero.
	Created time.Time `json:"created,omitzero"`
}

// check reports what cannot be understood.
func (req ExportRequest) check() error {
	if req.To != "" && !mirror.ValidTag(req.To) {
		return mirror.Errorf(mirror.CodeNameInvalid, "%q is no name of a destination: use letters, digits, '.', '_' and '-', as in plant-7", req.To)
	}
	if len(req.Images)+len(req.Wants) == 0 && !req.All {
		return mirror.Errorf(mirror.CodeNameInvalid, "nothing is named that is to be exported: name images, or ask for all")
	}
	if req.Flatten && len(req.Platforms) != 1 {
		return mirror.Errorf(mirror.CodeNameInvalid, "an index is flattened to one platform: name it")
	}
	if err := (prefetch.Request{Platforms: req.Platforms}).Check(); err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	return nil
}

// gather makes roots of everything that a request names.
func (p *planner) gather(ctx context.Context) error {
	for _, name := range p.req.Images {
		ref, _, err := prefetch.Find(ctx, p.service.store, p.service.mirror.Names(), name)
		if isFault(err) {
			return err
		} else if err != nil {
			p.fail(name, err)
			continue
		}
		p.addNamed(root{ref: ref, why: bundle.WhyNamed})
	}
	for _, want := range p.req.Wants {
		if err := p.addWant(ctx, want); isFault(err) {
			return err
		} else if err != nil {
			p.skipped = append(p.skipped, failure{want.Ref, err})
		}
	}
	if p.req.All {
		return p.addAll(ctx)
	}
	return nil
}

// named adds what a reference names: a tag, a digest, or both of one image.
func (p *planner) addNamed(r root) {
	if r.ref.Tag != "" && r.ref.Digest != "" {
		tag := r
		tag.ref.Digest, tag.digest = "", r.ref.Digest
		p.add(tag)
		r.ref.Tag = ""
	}
	p.add(r)
}

// want adds what somebody wants: of a blob, the images that need it.
func (p *planner) addWant(ctx context.Context, want mirror.Want) error {
	ref, err := mirror.ParseRef(want.Ref)
	if err != nil {
		return err
	}
	ref = p.longName(ctx, ref)
	if !want.Blob {
		p.addNamed(root{ref: ref, why: bundle.WhyWanted})
		return nil
	}
	manifests, err := p.service.store.ReferencedBy(ctx, ref.Repo, ref.Digest)
	if err != nil {
		return err
	}
	if len(manifests) == 0 {
		return mirror.Errorf(mirror.CodeBlobUnknown, "is a blob that no image held here in %s needs: name the image", ref.Repo)
	}
	for _, d := range manifests {
		p.add(root{ref: mirror.Ref{Repo: ref.Repo, Digest: d}, why: bundle.WhyWanted})
	}
	return nil
}

// longName is the repository that is meant by a short name of Docker Hub under which nothing is held.
func (p *planner) longName(ctx context.Context, ref mirror.Ref) mirror.Ref {
	if ref.Repo.Host == mirror.DockerHub && !strings.Contains(ref.Repo.Path, "/") {
		if _, err := p.service.store.RepoOrigin(ctx, ref.Repo); mirror.CodeOf(err) == mirror.CodeNameUnknown {
			ref.Repo.Path = "library/" + ref.Repo.Path
		}
	}
	return ref
}

// listed is how many names are read from the store at a time.
const pageSize = 256

// all adds every tag that there is.
func (p *planner) addAll(ctx context.Context) error {
	for after := ""; ; {
		repos, err := p.service.store.Repos(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, repo := range repos {
			if err := p.addTags(ctx, repo); err != nil {
				return err
			}
			after = repo.String()
		}
		if len(repos) < pageSize {
			return nil
		}
	}
}

func (p *planner) addTags(ctx context.Context, repo mirror.Repo) error {
	for after := ""; ; {
		tags, err := p.service.store.Tags(ctx, repo, after, pageSize)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			p.add(root{ref: mirror.Ref{Repo: repo, Tag: tag}, why: bundle.WhyAll})
			after = tag
		}
		if len(tags) < pageSize {
			return p.addRoots(ctx, repo)
		}
	}
}

// addRoots adds what was brought in by its digest.
func (p *planner) addRoots(ctx context.Context, repo mirror.Repo) error {
	for after := digest.Digest(""); ; {
		roots, err := p.service.store.Roots(ctx, repo, after, pageSize)
		if err != nil {
			return err
		}
		for _, r := range roots {
			p.add(root{ref: mirror.Ref{Repo: repo, Digest: r.Digest}, why: bundle.WhyAll})
			after = r.Digest
		}
		if len(roots) < pageSize {
			return nil
		}
	}
}
