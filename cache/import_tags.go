package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// PointTags implements [mirror.ImportStore]. The tags in kept are sorted by repository and tag.
func (s *Store) PointTags(ctx context.Context, tags []mirror.ImportedTag, overwrite bool) (kept []mirror.ImportedTag, err error) {
	list, err := sortTags(tags)
	if err != nil {
		return nil, err
	}
	// not beginWrite, whose map would keep its size after a hundred thousand tags
	end := s.tags.beginUnknownWrite()
	defer func() {
		names := make([]tagName, len(tags))
		for i, t := range tags {
			names[i] = tagName{t.Repo, t.Tag}
		}
		end(names)
	}()
	at := s.Now()
	err = s.index.Update(ctx, list.locks(), func(tx backend.WriteTx) (err error) {
		kept, err = list.write(tx, overwrite, at)
		return err
	})
	if err != nil {
		return nil, explain(err, "point %d tags", len(tags))
	}
	return kept, nil
}

// tagWrites are tags sorted by key: neighbouring keys of a large index are written together.
type tagWrites []tagWrite

type tagWrite struct {
	key string
	tag *mirror.ImportedTag
}

func sortTags(tags []mirror.ImportedTag) (tagWrites, error) {
	list := make(tagWrites, len(tags))
	for i := range tags {
		t := &tags[i]
		if t.Tag == "" {
			list[i] = tagWrite{content{t.Repo, t.Digest}.key(), t}
			continue
		}
		if !mirror.ValidTag(t.Tag) {
			return nil, mirror.Errorf(mirror.CodeManifestInvalid, "%q is not a tag", t.Tag)
		}
		if t.Origin != mirror.Imported && t.Origin != mirror.Pushed {
			return nil, mirror.Errorf(mirror.CodeUnsupported, "tag %s:%s has origin %q: only imported and pushed tags can be imported", t.Repo, t.Tag, t.Origin)
		}
		list[i] = tagWrite{tagName{t.Repo, t.Tag}.key(), t}
	}
	slices.SortStableFunc(list, func(a, b tagWrite) int { return cmp.Compare(a.key, b.key) })
	return list, nil
}

// locks are the locks of an update that writes the tags. An update of many tags runs alone.
func (list tagWrites) locks() (locks backend.Locks) {
	if len(list) > maxLocks/3 {
		return backend.Locks{}
	}
	for _, p := range list {
		locks.Shared = append(locks.Shared, lockedRepo(p.tag.Repo), lockedDigest(p.tag.Digest))
		if p.tag.Tag != "" {
			locks.Exclusive = append(locks.Exclusive, lockedTag(tagName{p.tag.Repo, p.tag.Tag}))
		}
	}
	return backend.Locks{Shared: sortedNames(locks.Shared), Exclusive: sortedNames(locks.Exclusive)}
}

// write is the transaction. It checks all tags before it writes any, so that a refused tag does not affect other
// transactions in its group.
func (list tagWrites) write(tx backend.WriteTx, overwrite bool, at time.Time) (kept []mirror.ImportedTag, err error) {
	for _, p := range list {
		if !has(tx, tableManifests, content{p.tag.Repo, p.tag.Digest}.key()) {
			return nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s cannot be written: its manifest is not stored there",
				mirror.Ref{Repo: p.tag.Repo, Tag: p.tag.Tag, Digest: p.tag.Digest})
		}
	}
	for _, p := range list {
		if p.tag.Tag == "" {
			if err := p.addRoot(tx, at); err != nil {
				return nil, err
			}
			continue
		}
		old, found, err := getRecord[tagRecord](tx, tableTags, p.key)
		if err != nil {
			return nil, err
		}
		if found && old.Origin == mirror.Pushed && old.Digest != p.tag.Digest && !overwrite {
			tag := *p.tag
			tag.Current = old.Digest
			kept = append(kept, tag)
			continue
		}
		if err := moveTag(tx, tagName{p.tag.Repo, p.tag.Tag}, old, tagRecord{Digest: p.tag.Digest, Origin: p.tag.Origin, Updated: at}); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// addRoot makes the manifest a root.
func (p tagWrite) addRoot(tx backend.WriteTx, at time.Time) error {
	c := content{p.tag.Repo, p.tag.Digest}
	if p.tag.SkipChildren && hasAny(tx, tableParents, prefix(c.digest.String(), c.repo.String())) {
		return nil
	}
	return addRoot(tx, c, at)
}
