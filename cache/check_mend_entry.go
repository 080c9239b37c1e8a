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

// mendEntry drops an entry that points nowhere, or writes again what follows from a manifest.
func (s *Store) mendEntry(ctx context.Context, entry string) (mended bool, err error) {
	table, k := entryOf(entry)
	wrong := ruleOf(table)
	switch {
	case table == tableManifests && malformed(k, 2) == "":
		return s.indexAgain(ctx, parts(k)[0], parts(k)[1], "")
	case table == tableTags && malformed(k, 2) == "":
		return s.mendTag(ctx, k)
	case table == tableRoots && malformed(k, 2) == "":
		mended, err = s.indexAgain(ctx, parts(k)[0], parts(k)[1], mirror.Imported)
		if mended || err != nil {
			return mended, err
		}
	case table == tableBlobs:
		wrong = wrongBlob
	case wrong == nil || table == tableRepos:
		return false, nil
	}
	return s.dropEntry(ctx, table, k, wrong)
}

// dropEntry deletes an entry if it is still wrong.
func (s *Store) dropEntry(ctx context.Context, table backend.Table, k string, wrong rule) (dropped bool, err error) {
	err = s.index.Update(ctx, func(tx backend.WriteTx) error {
		dropped = false
		value := tx.Get(table, k)
		if value == nil || wrong(tx, k, value) == "" {
			return nil
		}
		dropped = true
		return tx.Delete(table, k)
	})
	return dropped && err == nil, err
}

// mendTag has a tag and its manifest know of one another again, or gives it its manifest back if the file of that is held,
// or else drops it: a name that was pushed comes from nowhere else.
func (s *Store) mendTag(ctx context.Context, k string) (mended bool, err error) {
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return s.dropEntry(ctx, tableTags, k, wrongTag)
	}
	name, indexed := tagName{repo, parts(k)[1]}, false
	tag, err := s.loadTag(ctx, name)
	if err == nil && strength(tag.Origin) > 0 {
		if indexed, err = s.indexAgain(ctx, parts(k)[0], tag.Digest.String(), tag.Origin); err != nil {
			return indexed, err
		}
	}
	defer s.tags.begin(name)()
	err = s.index.Update(ctx, func(tx backend.WriteTx) error {
		mended = indexed
		value := tx.Get(tableTags, k)
		if value == nil || wrongTag(tx, k, value) == "" {
			return nil
		}
		mended = true
		record, err := decode[tagRecord](tableTags, k, value)
		if err == nil && has(tx, tableManifests, content{repo, record.Digest}.key()) {
			return pointTag(tx, name, "", record)
		}
		return dropTag(tx, name, record.Digest)
	})
	return mended && err == nil, err
}

// wrongBlob is the rule for what files could not read.
func wrongBlob(_ backend.ReadTx, k string, value []byte) string {
	_, err := mirror.ParseDigest(k)
	if err == nil {
		_, err = decode[blobRecord](tableBlobs, k, value)
	}
	if err != nil {
		return "it cannot be read"
	}
	return ""
}

// indexAgain writes what follows from a manifest anew, from its bytes, if they are held; and its record as well, if that
// cannot be read or, with an origin, if there is none. One of which nobody knows the origin counts as pushed: such a one is
// kept in any case.
func (s *Store) indexAgain(ctx context.Context, name, encoded string, origin mirror.Origin) (written bool, err error) {
	repo, err := mirror.ParseRepo(name)
	if err != nil {
		return false, nil
	}
	d, err := mirror.ParseDigest(encoded)
	if err != nil {
		return false, nil
	}
	defer s.guards.hold(d)()
	data, found, err := s.bytesOf(ctx, d)
	if err != nil || !found {
		return false, err
	}
	c := content{repo, d}
	defer s.manifests.begin(c)()
	err = s.index.Update(ctx, func(tx backend.WriteTx) (err error) {
		written, err = writeAgain(tx, c, data, origin, s.Now())
		return err
	})
	return written && err == nil, err
}

func writeAgain(tx backend.WriteTx, c content, data []byte, origin mirror.Origin, at time.Time) (written bool, err error) {
	value := tx.Get(tableManifests, c.key())
	if value == nil && origin == "" || value != nil && wrongManifest(tx, c.key(), value) == "" {
		return false, nil
	}
	old := manifestRecord{Origin: origin, Added: at}
	if record, err := decode[manifestRecord](tableManifests, c.key(), value); err == nil && strength(record.Origin) > 0 {
		old = record
	} else if origin == "" {
		old.Origin = mirror.Pushed
	}
	p, err := newPutting(c.repo, mirror.Manifest{MediaType: old.MediaType, Digest: c.digest, Bytes: data, Origin: old.Origin}, at, nil)
	if err != nil {
		return false, nil // it is no manifest of that type: for a person to decide
	}
	p.record.Added = old.Added
	if err := errors.Join(hold(tx, c.digest, p.record.Size, p.at), p.writeNew(tx)); err != nil || has(tx, tableRepos, c.repo.String()) {
		return err == nil, err
	}
	return true, put(tx, tableRepos, c.repo.String(), repoRecord{Origin: old.Origin, Created: at})
}

// bytesOf reads a file that is as small as a manifest, and verifies it.
func (s *Store) bytesOf(ctx context.Context, d digest.Digest) (data []byte, found bool, err error) {
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
