package bolt

import (
	"bytes"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"airmirror/cache/backend"
)

// tx is the transaction of one function. The functions of a group each have a tx of the same transaction of bbolt.
type tx struct {
	bolt    *bbolt.Tx
	fill    float64 // see [Index]
	wrote   bool
	cursors []tableCursor // of the tables that Get has read
	seek    []byte        // the key of Get
}

// tableCursor looks up keys of a table.
type tableCursor struct {
	table  backend.Table
	cursor *bbolt.Cursor
}

// Get implements [backend.ReadTx]. It keeps a cursor for each table, because bbolt searches the list of tables, and
// allocates a cursor and its stack, in each call of its own Get. Seek begins at the root of the tree, so writes between two
// calls do not matter.
func (t *tx) Get(table backend.Table, key string) []byte {
	cursor := t.cursor(table)
	if cursor == nil {
		return nil
	}
	t.seek = append(t.seek[:0], key...)
	found, value := cursor.Seek(t.seek)
	if !bytes.Equal(found, t.seek) {
		return nil
	}
	return value
}

// cursor returns the cursor of a table, or nil if there is no such table yet.
func (t *tx) cursor(table backend.Table) *bbolt.Cursor {
	for i := range t.cursors {
		if t.cursors[i].table == table {
			return t.cursors[i].cursor
		}
	}
	bucket := t.bolt.Bucket([]byte(table))
	if bucket == nil {
		return nil
	}
	cursor := bucket.Cursor()
	t.cursors = append(t.cursors, tableCursor{table, cursor})
	return cursor
}

// Scan implements [backend.ReadTx].
func (t *tx) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		bucket := t.bolt.Bucket([]byte(table))
		if bucket == nil {
			return
		}
		cursor := bucket.Cursor()
		key, value := cursor.Seek([]byte(max(prefix, after)))
		if after != "" && string(key) == after {
			key, value = cursor.Next()
		}
		for ; key != nil && bytes.HasPrefix(key, []byte(prefix)); key, value = cursor.Next() {
			if !yield(string(key), value) {
				return
			}
		}
	}
}

// Prefetch implements [backend.ReadTx]. The file is mapped into memory.
func (t *tx) Prefetch(iter.Seq[backend.Key]) {}

// Lock implements [backend.WriteTx]. One update runs at a time.
func (t *tx) Lock(string) error { return nil }

// Insert implements [backend.WriteTx].
func (t *tx) Insert(table backend.Table, key string, value []byte) error {
	if t.Get(table, key) != nil {
		return nil
	}
	return t.Put(table, key, value)
}

// Put implements [backend.WriteTx]. bbolt does not copy value, and keeps it until the commit.
func (t *tx) Put(table backend.Table, key string, value []byte) error {
	if len(value) == 0 {
		return fmt.Errorf("put %q into table %s: empty value", key, table)
	}
	t.wrote = true
	bucket, err := t.bolt.CreateBucketIfNotExists([]byte(table))
	if err != nil {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	if t.fill > 0 {
		bucket.FillPercent = t.fill
	}
	if err := bucket.Put([]byte(key), value); err != nil {
		return fmt.Errorf("put %q into table %s: %w", key, table, err)
	}
	return nil
}

// Delete implements [backend.WriteTx].
func (t *tx) Delete(table backend.Table, key string) error {
	bucket := t.bolt.Bucket([]byte(table))
	if bucket == nil {
		return nil
	}
	t.wrote = true
	if err := bucket.Delete([]byte(key)); err != nil {
		return fmt.Errorf("delete %q from table %s: %w", key, table, err)
	}
	return nil
}
