package cache

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// DeleteManifest implements [mirror.ManifestStore].
//
// Stored blobs of the manifest stay linked, so that a client can push another manifest that uses them. The collector
// later deletes these blobs and the manifest's own file. Links to missing blobs are deleted with the last manifest that
// names them. The repository remains, possibly without tags, and keeps its origin.
func (s *Store) DeleteManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	c := content{repo, d}
	var untagged []tagName
	defer s.manifests.beginWrite(c)()
	end := s.tags.beginUnknownWrite()
	defer func() { end(untagged) }()
	before, err := s.manifestRecord(ctx, c)
	if err != nil {
		return explain(err, "delete manifest %s of %s", d, repo)
	}
	locks := backend.Locks{Exclusive: []string{lockedRepo(repo), lockedDigest(d)}}
	for named := range before.named() {
		locks.Shared = append(locks.Shared, lockedDigest(named))
	}
	err = updateAlone(ctx, s.index, locks, func(tx backend.WriteTx, alone bool) error {
		record, found, err := getRecord[manifestRecord](tx, tableManifests, c.key())
		if err != nil {
			return err
		}
		if !found {
			return errManifestUnknown(repo, d)
		}
		if !alone && record.MediaType != before.MediaType { // it names other digests, which are not among the locks
			return errNotAlone
		}
		if untagged, err = removeTags(tx, c); err != nil {
			return err
		}
		if err := tx.Delete(tableRecency, c.key()); err != nil {
			return err
		}
		return removeManifest(tx, c, record)
	})
	return explain(err, "delete manifest %s of %s", d, repo)
}

// removeTags deletes every tag that points at c and returns their names.
func removeTags(tx backend.WriteTx, c content) ([]tagName, error) {
	names := tagsOf(tx, c)
	for _, name := range names {
		if err := deleteTag(tx, name, c.digest); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// removeManifest deletes the record of c and every entry that it implies.
func removeManifest(tx backend.WriteTx, c content, record manifestRecord) error {
	for d := range record.named() {
		if err := tx.Delete(tableUses, useKey(d, c.repo, c.digest)); err != nil {
			return err
		}
	}
	if err := tx.Delete(tableUses, useKey(c.digest, c.repo, c.digest)); err != nil {
		return err
	}
	for d := range record.named() {
		if has(tx, tableBlobs, d.String()) {
			continue
		}
		if _, _, used, err := firstUse(tx, c.repo, d); err != nil || used {
			if err != nil {
				return err
			}
			continue
		}
		if err := unlink(tx, c.repo, d); err != nil {
			return err
		}
	}
	for _, child := range record.manifests() {
		if err := tx.Delete(tableParents, parentKey(child, c)); err != nil {
			return err
		}
	}
	if record.Subject != "" {
		if err := tx.Delete(tableReferrers, referrerKey(c, record.Subject)); err != nil {
			return err
		}
	}
	if err := tx.Delete(tableRoots, c.key()); err != nil {
		return err
	}
	return tx.Delete(tableManifests, c.key())
}
