package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// setTag writes a tag, which pointed at old before; old is "" for a new tag. All changes of tags are made by setTag and
// deleteTag, so that the tags of a manifest can be listed.
func setTag(tx backend.WriteTx, name tagName, old digest.Digest, record tagRecord) error {
	if old != record.Digest {
		if old != "" {
			if err := tx.Delete(tableTagged, taggedKey(content{name.repo, old}, name.tag)); err != nil {
				return err
			}
		}
		if err := tx.Put(tableTagged, taggedKey(content{name.repo, record.Digest}, name.tag), emptyValue); err != nil {
			return err
		}
	}
	return putRecord(tx, tableTags, name.key(), record)
}

// deleteTag deletes a tag that points at d.
func deleteTag(tx backend.WriteTx, name tagName, d digest.Digest) error {
	if err := tx.Delete(tableTagged, taggedKey(content{name.repo, d}, name.tag)); err != nil {
		return err
	}
	return tx.Delete(tableTags, name.key())
}

// tagsOf returns the tags that point at c.
func tagsOf(tx backend.ReadTx, c content) (names []tagName) {
	for k := range tx.Scan(tableTagged, prefix(c.repo.String(), c.digest.String()), "") {
		names = append(names, tagName{c.repo, lastPart(k)})
	}
	return names
}

// tagName identifies a tag. It is a key of maps in memory.
type tagName struct {
	repo mirror.Repo
	tag  string
}

func (t tagName) key() string { return key(t.repo.String(), t.tag) }

func (t tagName) String() string { return mirror.Ref{Repo: t.repo, Tag: t.tag}.String() }

func errTagUnknown(name tagName) *mirror.Error {
	return mirror.Errorf(mirror.CodeManifestUnknown, "%s has no tag %s", name.repo, name.tag)
}

// Tag implements [mirror.ManifestStore].
func (s *Store) Tag(ctx context.Context, repo mirror.Repo, tag string) (mirror.Tag, error) {
	name := tagName{repo, tag}
	t, found, generation := s.tags.get(name)
	if found && !s.shared {
		return t, nil
	}
	t, err := s.loadTag(ctx, name)
	if err != nil {
		return mirror.Tag{}, explain(err, "look up %s:%s", repo, tag)
	}
	s.tags.add(name, t, generation)
	return t, nil
}

func (s *Store) loadTag(ctx context.Context, name tagName) (t mirror.Tag, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err == nil && !found {
			return errTagUnknown(name)
		}
		t = mirror.Tag(record)
		return err
	})
	return t, err
}

// Revalidated implements [mirror.ManifestStore]. It does nothing if the tag points at another manifest, was deleted or
// was pushed: then the upstream does not decide about it any more. A stored time that is in the future is replaced.
func (s *Store) Revalidated(ctx context.Context, repo mirror.Repo, tag string, d digest.Digest, at time.Time) error {
	name := tagName{repo, tag}
	defer s.tags.beginWrite(name)()
	err := s.index.Update(ctx, tagLocks(name), func(tx backend.WriteTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err != nil || !found || record.Digest != d || record.Origin == mirror.Pushed ||
			!at.After(record.Checked) && !record.Checked.After(s.Now()) {
			return err
		}
		record.Checked = at.UTC().Round(0)
		return setTag(tx, name, d, record)
	})
	return explain(err, "record the revalidation of %s", name)
}

// DeleteTag implements [mirror.ManifestStore].
func (s *Store) DeleteTag(ctx context.Context, repo mirror.Repo, tag string) error {
	name := tagName{repo, tag}
	defer s.tags.beginWrite(name)()
	err := s.index.Update(ctx, tagLocks(name), func(tx backend.WriteTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err != nil {
			return err
		}
		if !found {
			return errTagUnknown(name)
		}
		return deleteTag(tx, name, record.Digest)
	})
	return explain(err, "delete %s", name)
}

// addRoot makes a manifest a root, unless it is one already.
func addRoot(tx backend.WriteTx, c content, at time.Time) error {
	return insertRecord(tx, tableRoots, c.key(), rootRecord{Added: at})
}

// rootSince returns when a manifest became a root; the zero time if it is not one.
func rootSince(tx backend.ReadTx, c content) (time.Time, error) {
	record, _, err := getRecord[rootRecord](tx, tableRoots, c.key())
	return record.Added, err
}

// decodeRoot returns when a manifest became a root.
func decodeRoot(k string, value []byte) (time.Time, error) {
	record, err := decodeRecord[rootRecord](tableRoots, k, value)
	return record.Added, err
}
