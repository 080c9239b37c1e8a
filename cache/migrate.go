package cache

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
)

// migrateBatch is the number of records that one transaction of a migration reads.
const migrateBatch = 2000

// checkSchema writes the schema version to a new index, migrates an older index to this version, and refuses a newer
// one. New records of a migration are dated at.
func checkSchema(ctx context.Context, blobs backend.Blobs, index backend.Index, at time.Time) error {
	var schema schemaRecord
	err := index.Update(ctx, func(tx backend.WriteTx) (err error) {
		var found bool
		schema, found, err = getRecord[schemaRecord](tx, tableMeta, schemaKey)
		switch {
		case err != nil:
			return err
		case schema.Version > schemaVersion:
			return fmt.Errorf("the index was written by a newer version of this program (schema %d, this one knows %d): use that",
				schema.Version, schemaVersion)
		case found && schema.Version < schemaVersion:
			schema.Migrating = true // an older program must not open a partly migrated index
		}
		if schema == (schemaRecord{Version: schemaVersion}) {
			return nil
		}
		schema.Version = schemaVersion
		return putRecord(tx, tableMeta, schemaKey, schema)
	})
	if err != nil || !schema.Migrating {
		return err
	}
	if err := migrate(ctx, blobs, index, at); err != nil {
		return fmt.Errorf("migrate the index to schema %d: %w", schemaVersion, err)
	}
	return index.Update(ctx, func(tx backend.WriteTx) error {
		return putRecord(tx, tableMeta, schemaKey, schemaRecord{Version: schemaVersion})
	})
}

// migrate migrates an index of version 1 or 2. Version 2 added the parents of manifests, the tags by manifest, and the
// last use of blobs in their links; version 3 added the digests that manifests own. A migration that a crash
// interrupted starts over; repeated steps change nothing.
func migrate(ctx context.Context, blobs backend.Blobs, index backend.Index, at time.Time) error {
	if err := migrateTable(ctx, index, tableManifests, addParents); err != nil {
		return err
	}
	if err := migrateTable(ctx, index, tableTags, addTagged); err != nil {
		return err
	}
	if err := migrateTable(ctx, index, tableRecency, moveRecency); err != nil {
		return err
	}
	return migrateOwned(ctx, blobs, index, at)
}

// migrateTable calls f for each record of a table, in transactions of limited size.
func migrateTable(ctx context.Context, index backend.Index, table backend.Table, f func(tx backend.WriteTx, k string, value []byte) error) error {
	type pair struct {
		key   string
		value []byte
	}
	for after, more := "", true; more; {
		var batch []pair
		err := index.Update(ctx, func(tx backend.WriteTx) error {
			batch = batch[:0]
			for k, value := range tx.Scan(table, "", after) {
				if batch = append(batch, pair{k, bytes.Clone(value)}); len(batch) == migrateBatch {
					break
				}
			}
			for _, p := range batch {
				if err := f(tx, p.key, p.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if more = len(batch) == migrateBatch; more {
			after = batch[len(batch)-1].key
		}
	}
	return nil
}

func addParents(tx backend.WriteTx, k string, value []byte) error {
	record, err := decodeRecord[manifestRecord](tableManifests, k, value)
	if err != nil {
		return err
	}
	repo, d, _ := cutKey(k)
	for _, child := range record.Children {
		if err := tx.Put(tableParents, key(child.String(), repo, d), emptyValue); err != nil {
			return err
		}
	}
	return nil
}

func addTagged(tx backend.WriteTx, k string, value []byte) error {
	record, err := decodeRecord[tagRecord](tableTags, k, value)
	if err != nil {
		return err
	}
	repo, tag, _ := cutKey(k)
	return tx.Put(tableTagged, key(repo, record.Digest.String(), tag), emptyValue)
}

func moveRecency(tx backend.WriteTx, k string, value []byte) error {
	used, err := decodeRecord[recencyRecord](tableRecency, k, value)
	if err != nil {
		return err
	}
	repo, d, _ := cutKey(k)
	link, linked, err := getRecord[linkRecord](tx, tableLinks, key(d, repo))
	if err != nil {
		return err
	}
	if linked && used.Used.After(link.Used) {
		link.Used = used.Used
		if err := putRecord(tx, tableLinks, key(d, repo), link); err != nil {
			return err
		}
	}
	if has(tx, tableManifests, key(repo, digest.Digest(d).String())) {
		return nil
	}
	return tx.Delete(tableRecency, k)
}
