package migrate

import (
	"context"

	"airmirror/mirror"
)

// isContentError reports whether err, of the store, is about what was to be written, and not about the store.
func isContentError(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeUnknown, mirror.CodeUnavailable, mirror.CodeStorageFull:
		return false
	}
	return true
}

// together has f write n things at once or, if something is wrong with any of them, one by one. bad is told what is wrong
// with which. The error ends the run.
func writeAll(ctx context.Context, n int, f func(from, to int) error, bad func(i int, err error)) error {
	if n == 0 {
		return nil
	}
	err := f(0, n)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !isContentError(err) {
		return &storeError{err}
	}
	if n == 1 {
		bad(0, err)
		return nil
	}
	for i := range n {
		one := func(int, int) error { return f(i, i+1) }
		if err := writeAll(ctx, 1, one, func(_ int, err error) { bad(i, err) }); err != nil {
			return err
		}
	}
	return nil
}

// carry writes the manifests.
func (b *batch) importManifests(ctx context.Context) error {
	list := make([]mirror.ImportedManifest, len(b.items))
	for n, i := range b.items {
		list[n] = mirror.ImportedManifest{Repo: i.repository.repo, Digest: i.content.digest, MediaType: i.mediaType, Origin: b.importAs.origin, Local: b.importAs.local, With: i.ownedBlobs}
	}
	wrong := make(map[*item]error)
	if err := writeAll(ctx, len(list), func(from, to int) error {
		return b.store.ImportManifests(ctx, list[from:to])
	}, func(n int, err error) { wrong[b.items[n]] = err }); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error { return wrong[i] })
	for _, i := range b.items {
		i.repository.manifests[i.content.digest] = imported
		i.repository.imported++
	}
	b.count(func(s *Summary) { s.Manifests += len(b.items) })
	return nil
}

// pointTags writes the tags of what was taken.
func (b *batch) pointTags(ctx context.Context) error {
	var tags []tag
	var list []mirror.ImportedTag
	for _, t := range b.tags {
		if t.repository.manifests[t.digest] != imported {
			b.skipIn(t.repository, t.String(), mirror.Errorf(mirror.CodeManifestUnknown, "%s, which it points at, was left out", t.digest))
			continue
		}
		tags = append(tags, t)
		list = append(list, mirror.ImportedTag{Repo: t.repository.repo, Tag: t.name, Digest: t.digest, Origin: b.importAs.origin})
	}
	lost := make(map[mirror.Ref]bool) // tags that do not point at what they do at the place
	refOf := func(t mirror.ImportedTag) mirror.Ref { return mirror.Ref{Repo: t.Repo, Tag: t.Tag} }
	if err := writeAll(ctx, len(list), func(from, to int) error {
		kept, err := b.store.PointTags(ctx, list[from:to], b.req.Overwrite)
		for _, t := range kept {
			lost[refOf(t)] = true
			b.count(func(s *Summary) { s.Kept++ })
			b.emit(Event{Kind: KindKept, Name: b.names.Served(t.Repo) + ":" + t.Tag, Digest: t.Digest, Was: t.Current})
		}
		return err
	}, func(n int, err error) {
		lost[refOf(list[n])] = true
		b.skipIn(tags[n].repository, tags[n].String(), err)
	}); err != nil {
		return err
	}
	for n, t := range tags {
		if !lost[refOf(list[n])] {
			t.repository.tags++
			b.count(func(s *Summary) { s.Tags++ })
		}
	}
	return nil
}
