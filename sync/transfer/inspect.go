package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// inspect reads the manifests of a bundle, all of which are stored, and rejects the bundle unless each manifest has all
// its blobs when the rest has arrived. It sorts the manifests into import order, children before indexes.
func (in *importer) inspect(ctx context.Context) error {
	if in.inspected {
		return nil
	}
	err := in.inspectAll(ctx)
	in.inspected, in.invalid = err == nil, isInvalid(err)
	return err
}

func (in *importer) inspectAll(ctx context.Context) (err error) {
	in.SetCurrent("reading manifests")
	sizes := make(map[digest.Digest]int64, len(in.doc.Manifests)+len(in.doc.Blobs)+len(in.doc.Assumes))
	for d, size := range entriesOf(in.doc) {
		sizes[d] = size
	}
	for _, a := range in.doc.Assumes {
		sizes[a.Digest] = a.Size
	}
	places := make(map[digest.Digest]int, len(in.manifests))
	for i, m := range in.manifests {
		places[m.digest] = i
	}
	for i := range in.manifests {
		if err := in.inspectOne(ctx, &in.manifests[i], sizes, places); err != nil {
			return err
		}
	}
	if err := in.checkIndexes(); err != nil {
		return err
	}
	in.manifests = childrenFirst(in.manifests, places)
	return nil
}

func (in *importer) inspectOne(ctx context.Context, m *manifest, sizes map[digest.Digest]int64, places map[digest.Digest]int) error {
	data, err := in.service.readManifest(ctx, m.digest)
	if err != nil {
		return err
	}
	mediaType, refs, err := mirror.ParseManifest(m.mediaType, data)
	if err != nil {
		return mirror.Errorf(mirror.CodeOf(err), "manifest %s: %w", m.digest, err)
	}
	m.index = mirror.IsIndex(mediaType)
	for _, desc := range refs.Blobs {
		if err := in.checkBlob(ctx, m.digest, desc, sizes); err != nil {
			return err
		}
	}
	for role, desc := range refs.Owned() {
		m.references++
		if role == mirror.RoleBlob {
			continue
		}
		if i, here := places[desc.Digest]; here {
			m.children = append(m.children, in.manifests[i].digest)
		}
		if _, here := sizes[desc.Digest]; here {
			m.owned = append(m.owned, desc.Digest)
		}
	}
	if m.index && len(refs.Manifests) > 0 && len(m.owned) == 0 {
		return mirror.Errorf(mirror.CodeBundleInvalid, "the bundle has none of the manifests of index %s", m.digest)
	}
	return nil
}

// checkBlob rejects a manifest whose blob is neither in the bundle, nor assumed, nor stored, or has another size.
func (in *importer) checkBlob(ctx context.Context, of digest.Digest, desc v1.Descriptor, sizes map[digest.Digest]int64) error {
	size, listed := sizes[desc.Digest]
	if !listed {
		in.protect(desc.Digest)
		stored, err := in.service.isIntact(ctx, desc.Digest, desc.Size)
		if err != nil {
			return err
		}
		if !stored {
			return mirror.Errorf(mirror.CodeBundleInvalid, "manifest %s needs blob %s, which is neither in the bundle nor stored", of, desc.Digest)
		}
		return nil
	}
	if size != desc.Size {
		return mirror.Errorf(mirror.CodeBundleInvalid, "manifest %s says that blob %s has %d bytes, the bundle says %d", of, desc.Digest, desc.Size, size)
	}
	return nil
}

// checkIndexes rejects an index that has none of its manifests in one of its repositories.
func (in *importer) checkIndexes() error {
	entered := make(map[place]bool)
	for _, m := range in.manifests {
		for _, repo := range m.repos {
			entered[place{repo, m.digest}] = true
		}
	}
	for _, m := range in.manifests {
		if len(m.children) == 0 {
			continue
		}
		for _, repo := range m.repos {
			found := false
			for _, child := range m.children {
				found = found || entered[place{repo, child}]
			}
			if !found {
				return mirror.Errorf(mirror.CodeBundleInvalid, "the bundle has none of the manifests of index %s in %s", m.digest, repo)
			}
		}
	}
	return nil
}

// childrenFirst sorts manifests so that the children of an index are before it.
func childrenFirst(list []manifest, places map[digest.Digest]int) []manifest {
	sorted := make([]manifest, 0, len(list))
	visited := make([]bool, len(list))
	var visit func(i int)
	visit = func(i int) {
		if visited[i] {
			return
		}
		visited[i] = true
		for _, child := range list[i].children {
			visit(places[child])
		}
		sorted = append(sorted, list[i])
	}
	for i := range list {
		visit(i)
	}
	return sorted
}
