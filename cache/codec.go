package cache

import (
	"context"
	"encoding/json"
	"fmt"

	"airmirror/cache/backend"
)

// get reads a record.
func getRecord[T any](tx backend.ReadTx, table backend.Table, key string) (record T, found bool, err error) {
	value := tx.Get(table, key)
	if value == nil {
		return record, false, nil
	}
	record, err = decodeRecord[T](table, key, value)
	return record, err == nil, err
}

// decode makes a record of a value that was scanned.
func decodeRecord[T any](table backend.Table, key string, value []byte) (record T, err error) {
	if err := json.Unmarshal(value, &record); err != nil {
		return record, fmt.Errorf("read %q in table %s of the index: %w", key, table, err)
	}
	return record, nil
}

// put writes a record.
func putRecord(tx backend.WriteTx, table backend.Table, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write %q to table %s of the index: %w", key, table, err)
	}
	return tx.Put(table, key, value)
}

// has reports whether there is a record.
func has(tx backend.ReadTx, table backend.Table, key string) bool { return tx.Get(table, key) != nil }

// hasAny reports whether there is a record whose key begins with prefix.
func hasAny(tx backend.ReadTx, table backend.Table, prefix string) bool {
	for range tx.Scan(table, prefix, "") {
		return true
	}
	return false
}

// eachPage calls f with each entry of a table after a key, in transactions that read n entries each, and endPage after
// each transaction: a long walk keeps no transaction open. Values are valid in f only.
func eachPage(ctx context.Context, index backend.Index, table backend.Table, after string, n int,
	f func(tx backend.ReadTx, k string, value []byte), endPage func() error) error {
	for {
		read := 0
		err := index.View(ctx, func(tx backend.ReadTx) error {
			for k, value := range tx.Scan(table, "", after) {
				f(tx, k, value)
				after = k
				if read++; read == n {
					break
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read table %s of the index: %w", table, err)
		}
		if err := endPage(); err != nil || read < n {
			return err
		}
	}
}
