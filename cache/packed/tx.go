package packed

import (
	"airmirror/cache/backend"
)

// readTx implements [backend.ReadTx].
type readTx struct {
	index     *Index
	tx        backend.ReadTx
	committed bool              // everything that it reads is committed
	lost      map[number]string // see lostName
}

// Get implements [backend.ReadTx].
func (t *readTx) Get(table backend.Table, key string) []byte {
	below := t.key(table, key)
	if below == "" {
		return nil
	}
	return t.tx.Get(table, below)
}

// Prefetch implements [backend.ReadTx].
func (t *readTx) Prefetch(keys ...backend.Key) {
	below := make([]backend.Key, 0, len(keys))
	for _, k := range keys {
		if packed := t.key(k.Table, k.Key); packed != "" {
			below = append(below, backend.Key{Table: k.Table, Key: packed})
		}
	}
	t.tx.Prefetch(below...)
}

// key returns a key below; "" if there is no such key.
func (t *readTx) key(table backend.Table, key string) string {
	layout := t.index.layouts[table]
	if layout == nil {
		return key
	}
	below, _ := layout.encode(key, t.number)
	return below
}

// writeTx implements [backend.WriteTx].
type writeTx struct {
	readTx
	tx backend.WriteTx
}

// Put implements [backend.WriteTx].
func (t *writeTx) Put(table backend.Table, key string, value []byte) error {
	below, err := t.newKey(table, key)
	if err != nil {
		return err
	}
	return t.tx.Put(table, below, value)
}

// Insert implements [backend.WriteTx].
func (t *writeTx) Insert(table backend.Table, key string, value []byte) error {
	below, err := t.newKey(table, key)
	if err != nil {
		return err
	}
	return t.tx.Insert(table, below, value)
}

// newKey returns a key below. It assigns a number to a repository that has none.
func (t *writeTx) newKey(table backend.Table, key string) (string, error) {
	layout := t.index.layouts[table]
	if layout == nil {
		return key, nil
	}
	below, unknown := layout.encode(key, t.number)
	if unknown != "" {
		if err := t.assign(unknown); err != nil {
			return "", err
		}
		below, _ = layout.encode(key, t.number)
	}
	return below, nil
}

// Lock implements [backend.WriteTx].
func (t *writeTx) Lock(name string) error { return t.tx.Lock(name) }

// Delete implements [backend.WriteTx].
func (t *writeTx) Delete(table backend.Table, key string) error {
	below := t.key(table, key)
	if below == "" {
		return nil
	}
	return t.tx.Delete(table, below)
}
