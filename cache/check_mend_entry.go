package cache

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// mendEntry drops an entry that points nowhere, or writes again what follows from a manifest.
func (s *Store) mendEntry(ctx context.Context, entry string) (dropped bool, err error) {
	table, k := entryOf(entry)
	wrong := ruleOf(table)
	switch {
	case table == tableManifests && malformed(k, 2) == "":
		return s.indexAgain(ctx, k)
	case table == tableBlobs:
		wrong = wrongBlob
	case wrong == nil || table == tableRepos:
		return false, nil
	}
	if repo, tag, ok := tagOf(table, k); ok {
		defer s.tags.begin(tagName{repo, tag})()
	}
	err = s.index.Update(ctx, func(tx WriteTx) error {
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

func tagOf(table Table, k string) (repo mirror.Repo, tag string, ok bool) {
	if table != tableTags || malformed(k, 2) != "" {
		return mirror.Repo{}, "", false
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	return repo, parts(k)[1], err == nil
}

// wrongBlob is the rule for what files could not read.
func wrongBlob(_ ReadTx, k string, value []byte) string {
	_, err := mirror.ParseDigest(k)
	if err == nil {
		_, err = decode[blobRecord](tableBlobs, k, value)
	}
	if err != nil {
		return "it cannot be read"
	}
	return ""
}

// indexAgain writes what follows from a manifest anew, from its bytes, which must be held. One whose record cannot be read
// counts as pushed: that is what is kept in any case.
func (s *Store) indexAgain(ctx context.Context, k string) (written bool, err error) {
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return false, nil
	}
	d, err := mirror.ParseDigest(parts(k)[1])
	if err != nil {
		return false, nil
	}
	data, found, err := s.bytesOf(ctx, d)
	if err != nil || !found {
		return false, err
	}
	c := content{repo, d}
	defer s.manifests.begin(c)()
	err = s.index.Update(ctx, func(tx WriteTx) error {
		written = false
		value := tx.Get(tableManifests, k)
		if value == nil || wrongManifest(tx, k, value) == "" {
			return nil
		}
		old, err := decode[manifestRecord](tableManifests, k, value)
		if err != nil || strength(old.Origin) == 0 {
			old = manifestRecord{Origin: mirror.Pushed, Added: now()}
		}
		p, err := newPutting(repo, mirror.Manifest{MediaType: old.MediaType, Digest: d, Bytes: data, Origin: old.Origin}, nil)
		if err != nil {
			return nil // it is no manifest of that type: for a person to decide
		}
		p.record.Added = old.Added
		written = true
		if err := p.writeNew(tx); err != nil || has(tx, tableRepos, repo.String()) {
			return err
		}
		return put(tx, tableRepos, repo.String(), repoRecord{Origin: old.Origin, Created: now()})
	})
	return written && err == nil, err
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
