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
	layout := t.index.layouts[table]
	if layout == nil {
		return t.tx.Put(table, key, value)
	}
	below, unknown := layout.encode(key, t.number)
	if unknown != "" {
		if err := t.assign(unknown); err != nil {
			return err
		}
		below, _ = layout.encode(key, t.number)
	}
	return t.tx.Put(table, below, value)
}

// Delete implements [backend.WriteTx].
func (t *writeTx) Delete(table backend.Table, key string) error {
	below := t.key(table, key)
	if below == "" {
		return nil
	}
	return t.tx.Delete(table, below)
}
