package cache

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// migrateReads is how many manifests are read for one transaction.
const migrateReads = 64

// migrateOwned reads all manifests again for what they own. One that cannot be read stays as it is, but for its children: a
// check of the store finds it, and writes it anew when it has come again.
func migrateOwned(ctx context.Context, blobs backend.Blobs, index backend.Index, at time.Time) error {
	for after, more := "", true; more; {
		var batch []*putting
		err := index.View(ctx, func(tx backend.ReadTx) error {
			n := 0
			for k, value := range tx.Scan(tableManifests, "", after) {
				after = k
				if p := migrating(k, value, at); p != nil {
					batch = append(batch, p)
				}
				if n++; n == migrateReads {
					return nil
				}
			}
			more = false
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range batch {
			p.readOwned(ctx, blobs)
		}
		err = index.Update(ctx, func(tx backend.WriteTx) error {
			for _, p := range batch {
				if err := p.addOwned(tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// migrating is a manifest as the index has it, or nil if that cannot be read.
func migrating(k string, value []byte, at time.Time) *putting {
	record, err := decode[manifestRecord](tableManifests, k, value)
	if err != nil || malformed(k, 2) != "" {
		return nil
	}
	repo, err := mirror.ParseRepo(parts(k)[0])
	if err != nil {
		return nil
	}
	return &putting{content: content{repo, digest.Digest(parts(k)[1])}, record: record, at: at}
}

// readOwned reads from the manifest's file what it owns.
func (p *putting) readOwned(ctx context.Context, blobs backend.Blobs) {
	blob, err := blobs.Open(ctx, p.digest)
	if err != nil {
		return
	}
	defer blob.Close()
	data, err := io.ReadAll(io.LimitReader(blob, mirror.MaxManifestSize+1))
	if err != nil || p.digest.Algorithm().FromBytes(data) != p.digest {
		return
	}
	again, err := newPutting(p.repo, mirror.Manifest{MediaType: p.record.MediaType, Digest: p.digest, Bytes: data, Origin: p.record.Origin}, p.at, nil)
	if err != nil {
		return
	}
	p.owned, p.children = again.owned, again.children
	p.record.Children, p.record.Owned = again.record.Children, again.record.Owned
}

// addOwned writes what is new.
func (p *putting) addOwned(tx backend.WriteTx) error {
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
		if err := put(tx, tableUses, useKey(d, p.repo, p.digest), useRecord{Size: size, Owned: true}); err != nil {
			return err
		}
		if err := tx.Put(tableParents, parentKey(d, p.content), mark); err != nil {
			return err
		}
	}
	for _, d := range p.record.Owned {
		if err := announce(tx, p.repo, d, p.at); err != nil {
			return err
		}
	}
	return put(tx, tableManifests, p.key(), p.record)
}
