package migrate

import (
	"context"

	"airmirror/mirror"
)

// writeAll calls write for n entries at once. If the content of one is invalid, it calls write for each entry alone, and
// invalid for each one that fails. The error ends the run.
func writeAll(ctx context.Context, n int, write func(from, to int) error, invalid func(i int, err error)) error {
	if n == 0 {
		return nil
	}
	err := write(0, n)
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
		invalid(0, err)
		return nil
	}
	for i := range n {
		one := func(int, int) error { return write(i, i+1) }
		if err := writeAll(ctx, 1, one, func(_ int, err error) { invalid(i, err) }); err != nil {
			return err
		}
	}
	return nil
}

// writeManifests writes the manifests of the batch.
func (b *batch) writeManifests(ctx context.Context) error {
	list := make([]mirror.ImportedManifest, len(b.items))
	for n, i := range b.items {
		list[n] = mirror.ImportedManifest{Repo: i.repository.repo, Digest: i.content.digest, MediaType: i.mediaType, Origin: b.storeAs.origin, Local: b.storeAs.local, With: i.ownedBlobs}
	}
	errs := make(map[*item]error)
	if err := writeAll(ctx, len(list), func(from, to int) error {
		return b.store.ImportManifests(ctx, list[from:to])
	}, func(n int, err error) { errs[b.items[n]] = err }); err != nil {
		return err
	}
	b.dropFailed(func(i *item) error { return errs[i] })
	for _, i := range b.items {
		i.repository.manifests[i.content.digest] = migrated
		i.repository.migrated++
	}
	b.count(func(s *Summary) { s.Manifests += len(b.items) })
	return nil
}

// writeTags writes the tags of manifests that were migrated.
func (b *batch) writeTags(ctx context.Context) error {
	var tags []tag
	var list []mirror.ImportedTag
	for _, t := range b.tags {
		if t.repository.manifests[t.digest] != migrated {
			b.skipIn(t.repository, t.String(), mirror.Errorf(mirror.CodeManifestUnknown, "its manifest %s was skipped", t.digest))
			continue
		}
		tags = append(tags, t)
		list = append(list, mirror.ImportedTag{Repo: t.repository.repo, Tag: t.name, Digest: t.digest, Origin: b.storeAs.origin})
	}
	notMoved := make(map[mirror.Ref]bool)
	refOf := func(t mirror.ImportedTag) mirror.Ref { return mirror.Ref{Repo: t.Repo, Tag: t.Tag} }
	if err := writeAll(ctx, len(list), func(from, to int) error {
		kept, err := b.store.PointTags(ctx, list[from:to], b.req.Overwrite)
		for _, t := range kept {
			notMoved[refOf(t)] = true
			b.count(func(s *Summary) { s.Kept++ })
			b.emit(Event{Kind: KindKept, Name: b.names.Served(t.Repo) + ":" + t.Tag, Digest: t.Digest, Was: t.Current})
		}
		return err
	}, func(n int, err error) {
		notMoved[refOf(list[n])] = true
		b.skipIn(tags[n].repository, tags[n].String(), err)
	}); err != nil {
		return err
	}
	for n, t := range tags {
		if !notMoved[refOf(list[n])] {
			t.repository.tags++
			b.count(func(s *Summary) { s.Tags++ })
		}
	}
	return nil
}
