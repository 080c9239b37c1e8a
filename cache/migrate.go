package cache

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
)

// migrateBatch is the number of records that one transaction of a migration reads.
const migrateBatch = 2000

// checkSchema writes the schema version to a new index, and refuses an index of another version.
func checkSchema(ctx context.Context, index backend.Index) error {
	return index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		schema, found, err := getRecord[schemaRecord](tx, tableMeta, schemaKey)
		switch {
		case err != nil:
			return err
		case !found && !isEmpty(tx):
			return fmt.Errorf("%w: the record of its version is missing", ErrIndexDamaged)
		case !found:
			return putRecord(tx, tableMeta, schemaKey, schemaRecord{Version: schemaVersion})
		case schema.isOld():
			return fmt.Errorf("the index has schema %d, and this program needs schema %d", schema.Version, schemaVersion)
		case schema.Version < schemaVersion:
			return putRecord(tx, tableMeta, schemaKey, schemaRecord{Version: schemaVersion})
		}
		return schema.refused("the index")
	})
}

// isOld reports whether an index must be migrated.
func (r schemaRecord) isOld() bool { return r.Version < sameForm || r.Migrating }

// refused returns the error for an index of a newer version; nil for another one.
func (r schemaRecord) refused(what string) error {
	if r.Version <= schemaVersion {
		return nil
	}
	return fmt.Errorf("%s was written by a newer version of this program (schema %d, this one knows %d): use that version, or restore a backup that was made before the upgrade",
		what, r.Version, schemaVersion)
}

// isEmpty reports whether an index has no content. The clock may have been written.
func isEmpty(tx backend.ReadTx) bool {
	for _, table := range contentTables {
		if hasAny(tx, table, "") {
			return false
		}
	}
	return true
}

// migration copies an index of version 1, 2 or 3 to an empty index of this version.
type migration struct {
	log    *zap.Logger
	batch  int               // entries in a transaction
	at     time.Time         // the date of added records
	copied func(entries int) // called after each transaction, with the number of entries copied
}

// run copies an index. It only reads from: if it fails, or the process ends, the migration starts again with a new index.
func (m *migration) run(ctx context.Context, blobs backend.Blobs, from, to backend.Index) error {
	schema, err := readSchema(ctx, from)
	if err != nil {
		return err
	}
	c := &conversion{migration: m, ctx: ctx, from: from, to: to}
	if err := c.run(); err != nil {
		return err
	}
	if schema.Version < 3 || schema.Migrating {
		if err := completeOld(ctx, blobs, to, m.at); err != nil {
			return err
		}
	}
	return to.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		return putRecord(tx, tableMeta, schemaKey, schemaRecord{Version: schemaVersion})
	})
}

// readSchema returns the version of an index; the zero value if it has none.
func readSchema(ctx context.Context, index backend.Index) (schema schemaRecord, err error) {
	err = index.View(ctx, func(tx backend.ReadTx) error {
		schema, _, err = getRecord[schemaRecord](tx, tableMeta, schemaKey)
		return err
	})
	return schema, err
}

// completeOld adds what versions 2 and 3 of the schema added.
func completeOld(ctx context.Context, blobs backend.Blobs, index backend.Index, at time.Time) error {
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
		err := index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
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
