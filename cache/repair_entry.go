package cache

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// repairEntry deletes an entry that refers to nothing, or writes again the entries that a manifest implies.
func (s *Store) repairEntry(ctx context.Context, entry string) (repaired bool, err error) {
	table, k := parseEntry(entry)
	wrong := entryCheckOf(table)
	switch {
	case table == tableManifests && keyDefect(k, 2) == "":
		return s.reindex(ctx, splitKey(k)[0], splitKey(k)[1], "")
	case table == tableTags && keyDefect(k, 2) == "":
		return s.repairTag(ctx, k)
	case table == tableRoots && keyDefect(k, 2) == "":
		repaired, err = s.reindex(ctx, splitKey(k)[0], splitKey(k)[1], mirror.Imported)
		if repaired || err != nil {
			return repaired, err
		}
	case table == tableBlobs:
		wrong = blobDefect
	case wrong == nil || table == tableRepos:
		return false, nil
	}
	return s.dropEntry(ctx, table, k, wrong)
}

// dropEntry deletes an entry if it is still defective.
func (s *Store) dropEntry(ctx context.Context, table backend.Table, k string, wrong entryCheck) (deleted bool, err error) {
	err = s.index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		deleted = false
		value := tx.Get(table, k)
		if value == nil || wrong(tx, k, value) == "" {
			return nil
		}
		deleted = true
		return tx.Delete(table, k)
	})
	return deleted && err == nil, err
}

// repairTag restores the entries that connect a tag and its manifest. If the manifest's record is lost and its file is
// stored, it writes the record again. Otherwise it deletes the tag.
func (s *Store) repairTag(ctx context.Context, k string) (repaired bool, err error) {
	repo, err := mirror.ParseRepo(splitKey(k)[0])
	if err != nil {
		return s.dropEntry(ctx, tableTags, k, tagDefect)
	}
	name, indexed := tagName{repo, splitKey(k)[1]}, false
	tag, err := s.loadTag(ctx, name)
	if err == nil && originRank(tag.Origin) > 0 {
		if indexed, err = s.reindex(ctx, splitKey(k)[0], tag.Digest.String(), tag.Origin); err != nil {
			return indexed, err
		}
	}
	defer s.tags.beginWrite(name)()
	err = s.index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		repaired = indexed
		value := tx.Get(tableTags, k)
		if value == nil || tagDefect(tx, k, value) == "" {
			return nil
		}
		repaired = true
		record, err := decodeRecord[tagRecord](tableTags, k, value)
		if err == nil && has(tx, tableManifests, content{repo, record.Digest}.key()) {
			return setTag(tx, name, "", record)
		}
		return deleteTag(tx, name, record.Digest)
	})
	return repaired && err == nil, err
}

// blobDefect is the [entryCheck] for entries that checkFiles could not decode.
func blobDefect(_ backend.ReadTx, k string, value []byte) string {
	_, err := mirror.ParseDigest(k)
	if err == nil {
		_, err = decodeRecord[blobRecord](tableBlobs, k, value)
	}
	if err != nil {
		return "it cannot be read"
	}
	return ""
}

// reindex writes the entries that a manifest implies from its file, if that is stored. It writes the record as well if
// the record cannot be decoded, or if it is missing and origin is not "". A manifest of unknown origin becomes a pushed
// one, which is never evicted.
func (s *Store) reindex(ctx context.Context, name, encoded string, origin mirror.Origin) (written bool, err error) {
	repo, err := mirror.ParseRepo(name)
	if err != nil {
		return false, nil
	}
	d, err := mirror.ParseDigest(encoded)
	if err != nil {
		return false, nil
	}
	defer s.locks.share(d)()
	data, found, err := s.readVerified(ctx, d)
	if err != nil || !found {
		return false, err
	}
	c := content{repo, d}
	defer s.manifests.beginWrite(c)()
	err = s.index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) (err error) {
		written, err = writeReindexed(tx, c, data, origin, s.Now())
		return err
	})
	return written && err == nil, err
}

func writeReindexed(tx backend.WriteTx, c content, data []byte, origin mirror.Origin, at time.Time) (written bool, err error) {
	value := tx.Get(tableManifests, c.key())
	if value == nil && origin == "" || value != nil && manifestDefect(tx, c.key(), value) == "" {
		return false, nil
	}
	old := manifestRecord{Origin: origin, Added: at}
	if record, err := decodeRecord[manifestRecord](tableManifests, c.key(), value); err == nil && originRank(record.Origin) > 0 {
		old = record
	} else if origin == "" {
		old.Origin = mirror.Pushed
	}
	p, err := newManifestWrite(c.repo, mirror.Manifest{MediaType: old.MediaType, Digest: c.digest, Bytes: data, Origin: old.Origin}, at, nil)
	if err != nil {
		return false, nil // not a manifest of that type: an operator must decide
	}
	p.record.Added = old.Added
	err = errors.Join(recordBlob(tx, c.digest, blobRecord{Size: p.record.Size, Added: p.at}), p.writeNew(tx), createRepo(tx, c.repo, old.Origin, at))
	return err == nil, err
}

// readVerified reads and verifies a file that is small enough to be a manifest. found is false if there is no such
// file.
func (s *Store) readVerified(ctx context.Context, d digest.Digest) (data []byte, found bool, err error) {
	blob, err := s.blobs.Open(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer blob.Close()
	if blob.Size > mirror.MaxManifestSize {
		return nil, false, nil
	}
	if data, err = io.ReadAll(blob); err != nil {
		return nil, false, err
	}
	return data, d.Algorithm().FromBytes(data) == d, nil
}
