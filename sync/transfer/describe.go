package transfer

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// describe returns the document of the plan, without its number. Everything is sorted, so that the same content makes
// the same document.
func (p *planner) describe(ctx context.Context) (*bundle.Document, error) {
	identity, err := p.service.Identity(ctx)
	if err != nil {
		return nil, err
	}
	doc := &bundle.Document{
		Source: identity, Host: p.service.opts.Host, Destination: p.req.To, Created: p.req.now(), Tool: p.service.opts.Tool,
		Images: []bundle.Image{},
	}
	needed := make(map[*item]bool)
	for _, image := range p.sorted() {
		seen := make(map[*item]bool)
		image.Size, image.New = image.item.addSize(seen)
		maps.Copy(needed, seen)
		doc.Images = append(doc.Images, image.Image)
	}
	var repos []string
	for it := range needed {
		repos = union(repos, it.repos...)
		switch {
		case it.assumed:
			doc.Assumes = append(doc.Assumes, bundle.Assumed{File: it.File, MediaType: it.mediaType, Repositories: it.repos, Bundle: it.base})
		case it.manifest:
			doc.Manifests = append(doc.Manifests, bundle.Manifest{File: it.File, MediaType: it.mediaType, Repositories: it.repos})
		default:
			doc.Blobs = append(doc.Blobs, it.File)
		}
	}
	slices.SortFunc(doc.Manifests, func(a, b bundle.Manifest) int { return byDigest(a.Digest, b.Digest) })
	slices.SortFunc(doc.Assumes, func(a, b bundle.Assumed) int { return byDigest(a.Digest, b.Digest) })
	slices.SortFunc(doc.Blobs, func(a, b bundle.File) int { return byDigest(a.Digest, b.Digest) })
	doc.Repositories, err = p.repositories(ctx, repos)
	return doc, err
}

func byDigest(a, b digest.Digest) int { return cmp.Compare(a, b) }

func (p *planner) repositories(ctx context.Context, names []string) ([]bundle.Repository, error) {
	list := make([]bundle.Repository, 0, len(names))
	for _, name := range names {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			return nil, err
		}
		origin, err := p.service.store.RepoOrigin(ctx, repo)
		if err != nil {
			return nil, err
		}
		list = append(list, bundle.Repository{Name: name, Local: origin == mirror.Pushed})
	}
	return list, nil
}

// addSize returns the size of an item and of everything that it needs, and how much of that is exported. It counts each
// item once and records it in seen.
func (it *item) addSize(seen map[*item]bool) (size, exported int64) {
	if seen[it] {
		return 0, 0
	}
	seen[it] = true
	size = it.Size
	if !it.assumed {
		exported = it.Size
	}
	for _, needed := range it.needs {
		s, e := needed.addSize(seen)
		size, exported = size+s, exported+e
	}
	return size, exported
}
