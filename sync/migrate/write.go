package migrate

import (
	"context"

	"airmirror/mirror"
)

// aboutContent reports whether err, of the store, is about what was to be written, and not about the store.
func aboutContent(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeUnknown, mirror.CodeUnavailable, mirror.CodeStorageFull:
		return false
	}
	return true
}

// together has f write n things at once or, if something is wrong with any of them, one by one. bad is told what is wrong
// with which. The error ends the run.
func together(ctx context.Context, n int, f func(from, to int) error, bad func(i int, err error)) error {
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
	if !aboutContent(err) {
		return &fault{err}
	}
	if n == 1 {
		bad(0, err)
		return nil
	}
	for i := range n {
		one := func(int, int) error { return f(i, i+1) }
		if err := together(ctx, 1, one, func(_ int, err error) { bad(i, err) }); err != nil {
			return err
		}
	}
	return nil
}

// carry writes the manifests.
func (b *batch) carry(ctx context.Context) error {
	list := make([]mirror.ImportedManifest, len(b.items))
	for n, i := range b.items {
		list[n] = mirror.ImportedManifest{Repo: i.of.repo, Digest: i.self.digest, MediaType: i.mediaType, Origin: b.how.origin, Local: b.how.local, With: i.with}
	}
	wrong := make(map[*item]error)
	if err := together(ctx, len(list), func(from, to int) error {
		return b.store.ImportManifests(ctx, list[from:to])
	}, func(n int, err error) { wrong[b.items[n]] = err }); err != nil {
		return err
	}
	b.keep(func(i *item) error { return wrong[i] })
	for _, i := range b.items {
		i.of.manifests[i.self.digest] = taken
		i.of.taken++
	}
	b.count(func(s *Summary) { s.Manifests += len(b.items) })
	return nil
}

// pointTags writes the tags of what was taken.
func (b *batch) pointTags(ctx context.Context) error {
	var tags []tag
	var list []mirror.ImportedTag
	for _, t := range b.tags {
		if t.of.manifests[t.digest] != taken {
			b.leaveOf(t.of, t.String(), mirror.Errorf(mirror.CodeManifestUnknown, "%s, which it points at, was left out", t.digest))
			continue
		}
		tags = append(tags, t)
		list = append(list, mirror.ImportedTag{Repo: t.of.repo, Tag: t.name, Digest: t.digest, Origin: b.how.origin})
	}
	lost := make(map[mirror.Ref]bool) // tags that do not point at what they do at the place
	refOf := func(t mirror.ImportedTag) mirror.Ref { return mirror.Ref{Repo: t.Repo, Tag: t.Tag} }
	if err := together(ctx, len(list), func(from, to int) error {
		kept, err := b.store.PointTags(ctx, list[from:to], b.req.Overwrite)
		for _, t := range kept {
			lost[refOf(t)] = true
			b.count(func(s *Summary) { s.Kept++ })
			b.tell(Event{Kind: KindKept, Name: b.names.Served(t.Repo) + ":" + t.Tag, Digest: t.Digest, Was: t.Current})
		}
		return err
	}, func(n int, err error) {
		lost[refOf(list[n])] = true
		b.leaveOf(tags[n].of, tags[n].String(), err)
	}); err != nil {
		return err
	}
	for n, t := range tags {
		if !lost[refOf(list[n])] {
			t.of.tags++
			b.count(func(s *Summary) { s.Tags++ })
		}
	}
	return nil
}
