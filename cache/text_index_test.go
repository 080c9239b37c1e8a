package cache

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
)

// Text presents the index of a store with keys and records as text: records are JSON, as in schema 3. A record that cannot
// be decoded is presented as it is. Records are written as they are, also in JSON.
func Text(below backend.Index) backend.Index { return textIndex{packed.New(below, keyLayouts)} }

type textIndex struct{ backend.Index }

func (x textIndex) View(ctx context.Context, f func(backend.ReadTx) error) error {
	return x.Index.View(ctx, func(tx backend.ReadTx) error { return f(textReader{tx}) })
}

func (x textIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	return x.Index.Update(ctx, locks, func(tx backend.WriteTx) error { return f(textWriter{textReader{tx}, tx}) })
}

type textReader struct{ tx backend.ReadTx }

func (t textReader) Get(table backend.Table, key string) []byte {
	value := t.tx.Get(table, key)
	if value == nil {
		return nil
	}
	return textOf(table, key, value)
}

func (t textReader) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for k, value := range t.tx.Scan(table, prefix, after) {
			if !yield(k, textOf(table, k, value)) {
				return
			}
		}
	}
}

type textWriter struct {
	textReader
	tx backend.WriteTx
}

func (t textWriter) Put(table backend.Table, key string, value []byte) error {
	return t.tx.Put(table, key, value)
}

func (t textReader) Prefetch(keys iter.Seq[backend.Key]) { t.tx.Prefetch(keys) }

func (t textWriter) Insert(table backend.Table, key string, value []byte) error {
	return t.tx.Insert(table, key, value)
}

func (t textWriter) Lock(name string) error { return t.tx.Lock(name) }

func (t textWriter) Delete(table backend.Table, key string) error { return t.tx.Delete(table, key) }

// textOf returns a record in JSON.
func textOf(table backend.Table, key string, value []byte) []byte {
	switch table {
	case tableRepos:
		return recordText[repoRecord](table, key, value)
	case tableBlobs:
		return recordText[blobRecord](table, key, value)
	case tableLinks:
		return recordText[linkRecord](table, key, value)
	case tableManifests:
		return recordText[manifestRecord](table, key, value)
	case tableUses:
		return recordText[useRecord](table, key, value)
	case tableTags:
		return recordText[tagRecord](table, key, value)
	case tableRoots:
		return recordText[rootRecord](table, key, value)
	case tableRecency:
		return recordText[recencyRecord](table, key, value)
	case tableTagged, tableParents:
		return []byte("{}")
	}
	return value
}

func recordText[T any](table backend.Table, key string, value []byte) []byte {
	record, err := decodeRecord[T](table, key, value)
	if err != nil {
		return value
	}
	text, err := json.Marshal(record)
	if err != nil {
		return value
	}
	return text
}

// WriteOld writes the content of an index of this version to an empty one, as schema 3 had it.
func WriteOld(ctx context.Context, index, old backend.Index) error {
	return Text(index).View(ctx, func(from backend.ReadTx) error {
		return old.Update(ctx, backend.Locks{}, func(to backend.WriteTx) error {
			for _, table := range append([]backend.Table{tableMeta}, contentTables...) {
				for k, value := range from.Scan(table, "", "") {
					if err := to.Put(table, k, value); err != nil {
						return err
					}
				}
			}
			return to.Put(tableMeta, schemaKey, []byte(`{"version":3}`))
		})
	})
}

// Migrate copies an old index to a new one.
func Migrate(ctx context.Context, blobs backend.Blobs, from, to backend.Index) error {
	m := &migration{log: zap.NewNop(), batch: 100, at: time.Now().UTC().Round(0), copied: func(int) {}}
	return m.run(ctx, blobs, from, packed.New(to, keyLayouts))
}
