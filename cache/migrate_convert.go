package cache

import (
	"context"

	"go.uber.org/zap"

	"airmirror/cache/backend"
)

// contentTables are all tables except meta, in the order in which a migration copies them. Repositories get their
// numbers in the order of their names, so the keys of each table are written in order.
var contentTables = []backend.Table{
	tableManifests, tableRepos, tableTags, tableTagged, tableRoots, tableReferrers, tableRecency, tableState,
	tableBlobs, tableLinks, tableUses, tableParents,
}

const (
	// convertBatch is the number of entries that a transaction of a migration copies.
	convertBatch = 10_000
	// convertErrors is the number of unreadable records that a migration names in the log.
	convertErrors = 10
)

// conversion copies the entries of an index in which keys and records are text.
type conversion struct {
	*migration
	ctx      context.Context
	from, to backend.Index

	entries    int // copied
	unreadable int
}

func (c *conversion) run() error {
	err := c.from.View(c.ctx, func(tx backend.ReadTx) error {
		value := tx.Get(tableMeta, clockKey)
		if value == nil {
			return nil
		}
		return c.to.Update(c.ctx, backend.Locks{}, func(to backend.WriteTx) error { return to.Put(tableMeta, clockKey, value) })
	})
	if err != nil {
		return err
	}
	for _, table := range contentTables {
		if err := c.table(table); err != nil {
			return err
		}
	}
	if c.unreadable > 0 {
		c.log.Error("records of the index cannot be read; they were copied as they are, and 'mirror verify' lists them", zap.Int("records", c.unreadable))
	}
	return nil
}

func (c *conversion) table(table backend.Table) error {
	type entry struct {
		key   string
		value []byte
	}
	batch := make([]entry, 0, c.batch)
	return eachPage(c.ctx, c.from, table, "", c.batch, func(_ backend.ReadTx, k string, value []byte) {
		batch = append(batch, entry{k, c.value(table, k, value)})
	}, func() error {
		err := c.to.Update(c.ctx, backend.Locks{}, func(tx backend.WriteTx) error {
			for _, e := range batch {
				if err := tx.Put(table, e.key, e.value); err != nil {
					return err
				}
			}
			return nil
		})
		c.entries += len(batch)
		batch = batch[:0]
		c.copied(c.entries)
		return err
	})
}

// value returns the binary form of a record. A record that cannot be read stays as it is: a check of the store finds it.
func (c *conversion) value(table backend.Table, k string, value []byte) []byte {
	encoded, err := reencode(table, k, value)
	if err == nil {
		return encoded
	}
	if c.unreadable++; c.unreadable <= convertErrors {
		c.log.Error("a record of the index cannot be read", zap.Error(err))
	}
	return append([]byte(nil), value...)
}

// reencode returns the binary form of a record in any form. The values of some tables are copied.
func reencode(table backend.Table, k string, value []byte) ([]byte, error) {
	switch table {
	case tableRepos:
		return reencodeRecord[repoRecord](table, k, value)
	case tableBlobs:
		return reencodeRecord[blobRecord](table, k, value)
	case tableLinks:
		return reencodeRecord[linkRecord](table, k, value)
	case tableManifests:
		return reencodeRecord[manifestRecord](table, k, value)
	case tableUses:
		return reencodeRecord[useRecord](table, k, value)
	case tableTags:
		return reencodeRecord[tagRecord](table, k, value)
	case tableRoots:
		return reencodeRecord[rootRecord](table, k, value)
	case tableRecency:
		return reencodeRecord[recencyRecord](table, k, value)
	case tableTagged, tableParents:
		return emptyValue, nil
	}
	return append([]byte(nil), value...), nil
}

func reencodeRecord[T any](table backend.Table, k string, value []byte) ([]byte, error) {
	record, err := decodeRecord[T](table, k, value)
	if err != nil {
		return nil, err
	}
	return encodeRecord(record)
}
