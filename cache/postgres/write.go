package postgres

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"airmirror/cache/backend"
)

// writer implements [backend.WriteTx]. It keeps the writes until the commit.
type writer struct {
	reader
	writes map[backend.Table]map[string]write
}

// write is the last write of a key.
type write struct {
	value  []byte // nil if the key is deleted
	insert bool   // unless the table has the key
}

func (w *writer) add(table backend.Table, key string, value write) error {
	if w.index.tables[table] == "" {
		return fmt.Errorf("the index has no table %s", table)
	}
	if w.writes == nil {
		w.writes = make(map[backend.Table]map[string]write)
	}
	if w.writes[table] == nil {
		w.writes[table] = make(map[string]write)
	}
	w.writes[table][key] = value
	return nil
}

// Put implements [backend.WriteTx].
func (w *writer) Put(table backend.Table, key string, value []byte) error {
	if len(value) == 0 {
		return fmt.Errorf("put %q into table %s: empty value", key, table)
	}
	return w.add(table, key, write{value: value})
}

// Insert implements [backend.WriteTx].
func (w *writer) Insert(table backend.Table, key string, value []byte) error {
	if len(value) == 0 {
		return fmt.Errorf("insert %q into table %s: empty value", key, table)
	}
	switch before, written := w.writes[table][key]; {
	case !written:
		return w.add(table, key, write{value: value, insert: true})
	case before.value == nil:
		return w.add(table, key, write{value: value})
	}
	return nil
}

// Delete implements [backend.WriteTx].
func (w *writer) Delete(table backend.Table, key string) error {
	if w.index.tables[table] == "" {
		return nil
	}
	return w.add(table, key, write{})
}

// Lock implements [backend.WriteTx]. What was read before may be out of date.
func (w *writer) Lock(name string) error {
	if w.err != nil {
		return w.err
	}
	clear(w.fetched)
	err := w.run(statement{sql: lockStatement, args: []any{[]int64{lockKey(name)}, []bool{true}}}, func(rows pgx.Rows) error {
		for rows.Next() {
		}
		return rows.Err()
	})
	if err != nil {
		w.fail(err)
	}
	return err
}

// Get implements [backend.ReadTx].
func (w *writer) Get(table backend.Table, key string) []byte {
	written, found := w.writes[table][key]
	if !found {
		return w.reader.Get(table, key)
	}
	if written.insert {
		if value := w.reader.Get(table, key); value != nil {
			return value
		}
	}
	return written.value
}

// Scan implements [backend.ReadTx]. It merges what the transaction wrote into what the table has.
func (w *writer) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	var own []string
	for key := range w.writes[table] {
		if strings.HasPrefix(key, prefix) && key > after {
			own = append(own, key)
		}
	}
	if len(own) == 0 {
		return w.reader.Scan(table, prefix, after)
	}
	slices.Sort(own)
	return func(yield func(string, []byte) bool) {
		// yieldOwn yields the writes before a key.
		yieldOwn := func(stop string, last bool) bool {
			for len(own) > 0 && (last || own[0] < stop) {
				key := own[0]
				own = own[1:]
				if value := w.writes[table][key].value; value != nil && !yield(key, value) {
					return false
				}
			}
			return true
		}
		for key, value := range w.reader.Scan(table, prefix, after) {
			if !yieldOwn(key, false) {
				return
			}
			if len(own) > 0 && own[0] == key {
				if written := w.writes[table][key]; !written.insert {
					continue // yieldOwn comes to it
				}
				own = own[1:]
			}
			if !yield(key, value) {
				return
			}
		}
		yieldOwn("", true)
	}
}

// statements returns the statements that write everything, in an order that is the same for all updates: two of them that
// write the same rows wait for each other in one direction only.
func (w *writer) statements() (all []statement) {
	for _, table := range slices.Sorted(maps.Keys(w.writes)) {
		var puts, inserts, deletes, putValues, insertValues [][]byte
		for _, key := range slices.Sorted(maps.Keys(w.writes[table])) {
			switch written := w.writes[table][key]; {
			case written.value == nil:
				deletes = append(deletes, []byte(key))
			case written.insert:
				inserts, insertValues = append(inserts, []byte(key)), append(insertValues, written.value)
			default:
				puts, putValues = append(puts, []byte(key)), append(putValues, written.value)
			}
		}
		name := w.index.tables[table]
		add := func(keys [][]byte, sql string, args ...any) {
			if len(keys) > 0 {
				all = append(all, statement{sql: fmt.Sprintf(sql, name), args: args})
			}
		}
		const insert = "insert into %s (key, value) select * from unnest($1::bytea[], $2::bytea[]) "
		add(inserts, insert+"on conflict (key) do nothing", inserts, insertValues)
		add(puts, insert+"on conflict (key) do update set value = excluded.value", puts, putValues)
		add(deletes, "delete from %s where key = any($1::bytea[])", deletes)
	}
	return all
}
