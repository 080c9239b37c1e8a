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

// record is a value of the index in binary form. The methods of *T are called on a record of type T.
type record interface {
	// append appends the fields.
	append(w *recordWriter)
	// read reads the fields. Errors are in the reader.
	read(r *recordReader)
}

// decodeRecord decodes the value of a record. A value in JSON is one of an index before schema 4, or the description of a
// referrer.
func decodeRecord[T any](table backend.Table, key string, value []byte) (decoded T, err error) {
	if fields, ok := any(&decoded).(record); ok && !isText(value) {
		err = readFields(fields, value)
	} else {
		err = json.Unmarshal(value, &decoded)
	}
	if err != nil {
		var zero T
		return zero, fmt.Errorf("read %q in table %s of the index: %w", key, table, err)
	}
	return decoded, nil
}

// isText reports whether a value is in JSON. No value in binary form begins like that.
func isText(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// putRecord encodes and writes a record.
func putRecord[T any](tx backend.WriteTx, table backend.Table, key string, value T) error {
	encoded, err := encodeRecord(value)
	if err != nil {
		return fmt.Errorf("write %q to table %s of the index: %w", key, table, err)
	}
	return tx.Put(table, key, encoded)
}

// insertRecord encodes and writes a record, unless the table has the key.
func insertRecord[T any](tx backend.WriteTx, table backend.Table, key string, value T) error {
	encoded, err := encodeRecord(value)
	if err != nil {
		return fmt.Errorf("write %q to table %s of the index: %w", key, table, err)
	}
	return tx.Insert(table, key, encoded)
}

// encodeRecord encodes the value of a record.
func encodeRecord[T any](value T) ([]byte, error) {
	fields, ok := any(&value).(record)
	if !ok {
		return json.Marshal(value)
	}
	return appendFields(fields)
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
