package packed

import (
	"iter"
	"strings"

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
func (t *readTx) Prefetch(keys iter.Seq[backend.Key]) {
	t.tx.Prefetch(func(yield func(backend.Key) bool) {
		for k := range keys {
			if k.Prefix {
				for _, below := range t.prefixes(k) {
					if !yield(below) {
						return
					}
				}
			} else if below := t.key(k.Table, k.Key); below != "" && !yield(backend.Key{Table: k.Table, Key: below}) {
				return
			}
		}
	})
}

// prefixes returns the prefixes below that [scan.within] reads. It returns none for a scan of many repositories.
func (t *readTx) prefixes(k backend.Key) (below []backend.Key) {
	s := scan{readTx: t, table: k.Table, layout: t.index.layouts[k.Table], prefix: k.Key}
	if s.layout == nil {
		return []backend.Key{k}
	}
	if s.layout[0] == Repo && strings.IndexByte(k.Key, 0) < 0 {
		return nil
	}
	if from, _, found := s.bound(k.Key); found && from != "" {
		below = append(below, backend.Key{Table: k.Table, Key: from, Prefix: true})
	}
	return append(below, backend.Key{Table: k.Table, Key: verbatim + k.Key, Prefix: true})
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
