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
	bolt  *bbolt.Tx
	fill  float64 // see [Index]
	wrote bool
}

// Get implements [backend.ReadTx].
func (t *tx) Get(table backend.Table, key string) []byte {
	bucket := t.bolt.Bucket([]byte(table))
	if bucket == nil {
		return nil
	}
	return bucket.Get([]byte(key))
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
