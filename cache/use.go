package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// found is what a caller of [Store.recordUse] has found.
type found struct {
	stored bool
	used   time.Time // the last use in the index; needed only if that is shared
}

// recordUse calls read, and records a use of c if read has found it, unless the context ignores usage. When recordUse returns,
// a sweep that had started before cannot delete what read found.
//
// With a shared index, the sweep may run on another node, which sees only what is in the index. A last use in the index that
// is younger than half of the grace period keeps the content for at least the other half. Otherwise the use is written now, by
// keep, which reports false if the content was deleted meanwhile.
func (s *Store) recordUse(ctx context.Context, c content, read func() (found, error), keep func(*Store, backend.WriteTx, content) (bool, error)) error {
	for {
		since := s.fence.current()
		got, err := read()
		if err != nil || !got.stored || mirror.UsageIgnored(ctx) {
			return err
		}
		if !s.shared {
			s.recency.touch(c)
			if passed, err := s.fence.passed(ctx, c.digest, since); passed || err != nil {
				return err
			}
			continue
		}
		if s.usedLately(got.used) {
			return nil
		}
		kept := false
		err = s.index.Update(ctx, blobLocks(c.repo, c.digest), func(tx backend.WriteTx) (err error) {
			kept, err = keep(s, tx, c)
			return err
		})
		if kept || err != nil {
			return err
		}
	}
}

// usedLately reports whether a use is so recent that it need not be recorded again.
func (s *Store) usedLately(used time.Time) bool {
	half := s.options.Grace / 2
	return half > 0 && s.Now().Sub(used) < half
}

// keepBlob records a use of a blob in the index, unless it has a recent one.
func (s *Store) keepBlob(tx backend.WriteTx, c content) (kept bool, err error) {
	tx.Prefetch(blobKeys(c.repo, c.digest))
	if !has(tx, tableBlobs, c.digest.String()) || !linked(tx, c.repo, c.digest) {
		return false, nil
	}
	return true, s.useLink(tx, c)
}

// useLink records a use of a blob that is linked: in the index if that is shared, otherwise in memory. In memory, it is
// recorded before the transaction ends, so that no sweep can run in between; it does no harm if the transaction fails.
func (s *Store) useLink(tx backend.WriteTx, c content) error {
	if !s.shared {
		s.recency.touch(c)
		return nil
	}
	link, _, err := getRecord[linkRecord](tx, tableLinks, linkKey(c.repo, c.digest))
	if err != nil || s.usedLately(latest(link.Added, link.Used)) {
		return err
	}
	link.Used = s.Now()
	return putRecord(tx, tableLinks, linkKey(c.repo, c.digest), link)
}

// keepManifest records a use of a manifest in the index, unless it has a recent one.
func (s *Store) keepManifest(tx backend.WriteTx, c content) (kept bool, err error) {
	tx.Prefetch(manifestKeys(c))
	_, used, stored, err := readManifestRecord(tx, c)
	if err != nil || !stored {
		return false, err
	}
	if s.usedLately(used) {
		return true, nil
	}
	return true, putRecord(tx, tableRecency, c.key(), recencyRecord{Used: s.Now()})
}

// useManifest is keepManifest, in memory if the index is not shared; see [Store.useLink].
func (s *Store) useManifest(tx backend.WriteTx, c content) error {
	if !s.shared {
		s.recency.touch(c)
		return nil
	}
	_, err := s.keepManifest(tx, c)
	return err
}

// manifestKeys are the keys that readManifestRecord reads.
func manifestKeys(c content) func(yield func(backend.Key) bool) {
	return func(yield func(backend.Key) bool) {
		_ = yield(backend.Key{Table: tableManifests, Key: c.key()}) && yield(backend.Key{Table: tableRecency, Key: c.key()})
	}
}

// readManifestRecord reads a manifest and when it was added or last used.
func readManifestRecord(tx backend.ReadTx, c content) (record manifestRecord, used time.Time, stored bool, err error) {
	record, stored, err = getRecord[manifestRecord](tx, tableManifests, c.key())
	if err != nil || !stored {
		return record, used, stored, err
	}
	last, _, err := getRecord[recencyRecord](tx, tableRecency, c.key())
	return record, latest(record.Added, last.Used), true, err
}

// fileStored reports whether the index has the row of a blob, which its entry depends on. It is true if the names of blobs are
// not in the index: then [digestLocks] protect the file.
func fileStored(tx backend.ReadTx, named backend.Indexed, d digest.Digest) bool {
	if named == nil {
		return true
	}
	row := named.Row(d)
	return tx.Get(row.Table, row.Key) != nil
}
