package cache

import (
	"context"
	"encoding/json"
	"fmt"

	"airmirror/cache/backend"
)

// getRecord reads and decodes a record.
func getRecord[T any](tx backend.ReadTx, table backend.Table, key string) (record T, found bool, err error) {
	value := tx.Get(table, key)
	if value == nil {
		return record, false, nil
	}
	record, err = decodeRecord[T](table, key, value)
	return record, err == nil, err
}

// decodeRecord decodes the value of a record.
func decodeRecord[T any](table backend.Table, key string, value []byte) (record T, err error) {
	if err := json.Unmarshal(value, &record); err != nil {
		return record, fmt.Errorf("read %q in table %s of the index: %w", key, table, err)
	}
	return record, nil
}

// putRecord encodes and writes a record.
func putRecord(tx backend.WriteTx, table backend.Table, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write %q to table %s of the index: %w", key, table, err)
	}
	return tx.Put(table, key, value)
}

// has reports whether a table has a key.
func has(tx backend.ReadTx, table backend.Table, key string) bool { return tx.Get(table, key) != nil }

// hasAny reports whether a table has a key that begins with prefix.
func hasAny(tx backend.ReadTx, table backend.Table, prefix string) bool {
	for range tx.Scan(table, prefix, "") {
		return true
	}
	return false
}

// eachPage calls f with each entry of a table whose key is greater than after. Each transaction reads up to n entries,
// so that a long walk keeps no transaction open; endPage is called after each transaction. A value is valid only during
// its call of f.
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
