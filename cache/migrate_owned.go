package cache

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// migrateOwnedBatch is the number of manifests that one transaction changes.
const migrateOwnedBatch = 64

// migrateOwned reads all manifests again to add what they own. For a manifest that cannot be read it adds the children
// only. A check of the store finds such a manifest and repairs it when it is stored again.
func migrateOwned(ctx context.Context, blobs backend.Blobs, index backend.Index, at time.Time) error {
	var batch []*manifestWrite
	return eachPage(ctx, index, tableManifests, "", migrateOwnedBatch, func(_ backend.ReadTx, k string, value []byte) {
		if p := decodeMigrated(k, value, at); p != nil {
			batch = append(batch, p)
		}
	}, func() error {
		for _, p := range batch {
			p.readOwned(ctx, blobs)
		}
		err := index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
			for _, p := range batch {
				if err := p.addOwned(tx); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	})
}

// decodeMigrated returns a manifest as it is in the index; nil if the record cannot be decoded.
func decodeMigrated(k string, value []byte, at time.Time) *manifestWrite {
	record, err := decodeRecord[manifestRecord](tableManifests, k, value)
	if err != nil || keyDefect(k, 2) != "" {
		return nil
	}
	repo, err := mirror.ParseRepo(splitKey(k)[0])
	if err != nil {
		return nil
	}
	return &manifestWrite{content: content{repo, digest.Digest(splitKey(k)[1])}, record: record, at: at}
}

// readOwned adds what the manifest owns, read from its file.
func (p *manifestWrite) readOwned(ctx context.Context, blobs backend.Blobs) {
	data, err := readManifestBlob(ctx, blobs, p.digest)
	if err != nil {
		return
	}
	again, err := newManifestWrite(p.repo, mirror.Manifest{MediaType: p.record.MediaType, Digest: p.digest, Bytes: data, Origin: p.record.Origin}, p.at, nil)
	if err != nil {
		return
	}
	p.owned, p.children = again.owned, again.children
	p.record.Children, p.record.Owned = again.record.Children, again.record.Owned
}

// addOwned writes the added entries.
func (p *manifestWrite) addOwned(tx backend.WriteTx) error {
	if !has(tx, tableManifests, p.key()) || len(p.record.Children)+len(p.record.Owned) == 0 {
		return nil
	}
	sizes := make(map[digest.Digest]int64)
	for _, desc := range p.owned {
		sizes[desc.Digest] = desc.Size
	}
	for _, desc := range p.children {
		sizes[desc.Digest] = desc.Size
	}
	for _, d := range p.record.manifests() {
		size, known := sizes[d]
		if !known {
			size = -1
		}
		if err := putRecord(tx, tableUses, useKey(d, p.repo, p.digest), useRecord{Size: size, Owned: true}); err != nil {
			return err
		}
		if err := tx.Put(tableParents, parentKey(d, p.content), emptyValue); err != nil {
			return err
		}
	}
	for _, d := range p.record.Owned {
		if err := announce(tx, p.repo, d, p.at); err != nil {
			return err
		}
	}
	return putRecord(tx, tableManifests, p.key(), p.record)
}
