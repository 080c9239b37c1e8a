package cache

import (
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
)

// setTag writes what a tag points at, which was old before; "" for nothing. Every change of a tag comes here or to
// deleteTag, so that a sweep can tell by the manifest which tags point at it.
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
