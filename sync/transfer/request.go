package transfer

import (
	"context"
	"strings"
	"time"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
)

// ExportRequest selects the content of a bundle.
type ExportRequest struct {
	// Images are image names, as [prefetch.Find] reads them. All of them have to be complete, unless SkipMissing is
	// set.
	Images []string `json:"images,omitempty"`
	// Wants are the wants of another mirror. Incomplete images are skipped, because clients also request images that do
	// not exist.
	Wants []mirror.Want `json:"wants,omitempty"`
	// All selects every tag and every image that was stored by its digest. Incomplete images are skipped.
	All bool `json:"all,omitempty"`
	// SkipMissing skips those of Images that are incomplete.
	SkipMissing bool `json:"skipMissing,omitempty"`
	// Platforms select platforms of indexes, as os/arch or os/arch/variant. If it is empty, all stored platforms are
	// selected.
	Platforms []string `json:"platforms,omitempty"`
	// Flatten replaces an index by its image for the one platform in Platforms, under the tag of the index. The image
	// has another digest, so referrers of the index are omitted.
	Flatten bool `json:"flatten,omitempty"`
	// Referrers includes signatures and other stored content that refers to the images.
	Referrers bool `json:"referrers,omitempty"`
	// To is the name of the destination. It has the grammar of tags and may be empty.
	To string `json:"to,omitempty"`
	// Since omits content that was exported for the destination before: up to the bundle with this ID, or up to the
	// "last" one.
	Since string `json:"since,omitempty"`
	// Verify makes a plan read all content, as an export does. Images with damaged content that cannot be fetched again
	// are skipped.
	Verify bool `json:"verify,omitempty"`
	// Have says that the request comes with a receipt of the destination. Content in the receipt is omitted.
	Have bool `json:"have,omitempty"`
	// Created is the creation time of the bundle, e.g. from SOURCE_DATE_EPOCH. The zero value is the current time.
	Created time.Time `json:"created,omitzero"`
}

// check returns an error if the request is invalid.
func (req ExportRequest) check() error {
	if req.To != "" && !mirror.ValidTag(req.To) {
		return mirror.Errorf(mirror.CodeNameInvalid, "%q is not a valid destination name: use letters, digits, '.', '_' and '-', as in plant-7", req.To)
	}
	if len(req.Images)+len(req.Wants) == 0 && !req.All {
		return mirror.Errorf(mirror.CodeNameInvalid, "no images are named: name the images to export, or export all")
	}
	if req.Flatten && len(req.Platforms) != 1 {
		return mirror.Errorf(mirror.CodeNameInvalid, "flattening needs exactly one platform")
	}
	if err := (prefetch.Request{Platforms: req.Platforms}).Check(); err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	return nil
}

// gather adds the roots that the request selects.
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

// addNamed adds the root r. A reference with a tag and a digest becomes two roots for one image.
func (p *planner) addNamed(r root) {
	if r.ref.Tag != "" && r.ref.Digest != "" {
		tag := r
		tag.ref.Digest, tag.digest = "", r.ref.Digest
		p.add(tag)
		r.ref.Tag = ""
	}
	p.add(r)
}

// addWant adds the image that a want is for. For a blob, these are the images that need the blob.
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
		return mirror.Errorf(mirror.CodeBlobUnknown, "is a blob that no stored image in %s needs: name the image", ref.Repo)
	}
	for _, d := range manifests {
		p.add(root{ref: mirror.Ref{Repo: ref.Repo, Digest: d}, why: bundle.WhyWanted})
	}
	return nil
}

// longName completes a short name of Docker Hub, such as docker.io/alpine, to its library/ name if the short repository
// does not exist.
func (p *planner) longName(ctx context.Context, ref mirror.Ref) mirror.Ref {
	if ref.Repo.Host == mirror.DockerHub && !strings.Contains(ref.Repo.Path, "/") {
		if _, err := p.service.store.RepoOrigin(ctx, ref.Repo); mirror.CodeOf(err) == mirror.CodeNameUnknown {
			ref.Repo.Path = "library/" + ref.Repo.Path
		}
	}
	return ref
}

// addAll adds every tag and every root of the store.
func (p *planner) addAll(ctx context.Context) error {
	for repo, err := range mirror.AllRepos(ctx, p.service.store) {
		if err != nil {
			return err
		}
		for tag, err := range mirror.AllTags(ctx, p.service.store, repo) {
			if err != nil {
				return err
			}
			p.add(root{ref: mirror.Ref{Repo: repo, Tag: tag}, why: bundle.WhyAll})
		}
		for r, err := range mirror.AllRoots(ctx, p.service.store, repo) {
			if err != nil {
				return err
			}
			p.add(root{ref: mirror.Ref{Repo: repo, Digest: r.Digest}, why: bundle.WhyAll})
		}
	}
	return nil
}
