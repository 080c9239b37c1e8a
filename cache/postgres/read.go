package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"airmirror/cache/backend"
)

// statement is a statement with its arguments.
type statement struct {
	sql  string
	args []any
}

// errChanged is the failure of a view whose first statement read another state than the transaction.
var errChanged = errors.New("the index has changed since the first read")

// reader implements [backend.ReadTx].
//
// Most views need one statement, which needs no transaction. So a view runs its first read alone; only if there is another
// one, it begins a transaction, in which it reads the same keys again. If their values have changed, the function has seen
// two states, and the view is repeated in one transaction.
type reader struct {
	ctx    context.Context
	index  *Index
	conn   *pgxpool.Conn
	begin  []statement // sent together with the first statement of the transaction
	single bool        // the next read is the first one of a view, or there was one without a transaction
	begun  bool        // the transaction has begun
	keep   bool        // values stay in fetched

	fetched map[backend.Key][]byte // values that were read; nil for absent keys
	err     error                  // the first failure
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Prefetch implements [backend.ReadTx].
func (r *reader) Prefetch(keys ...backend.Key) {
	missing := make([]backend.Key, 0, len(keys))
	for _, k := range keys {
		if _, known := r.fetched[k]; !known && r.index.tables[k.Table] != "" && !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		r.read(missing)
	}
}

// Get implements [backend.ReadTx].
func (r *reader) Get(table backend.Table, key string) []byte {
	k := backend.Key{Table: table, Key: key}
	value, known := r.fetched[k]
	if !known && r.index.tables[table] != "" {
		value = r.read([]backend.Key{k})[k]
		if !r.keep && !r.single {
			delete(r.fetched, k)
		}
	}
	if r.err != nil {
		return nil
	}
	return value
}

// read reads keys into fetched, in one round trip. A view that begins its transaction reads the earlier ones again.
func (r *reader) read(keys []backend.Key) map[backend.Key][]byte {
	if r.err != nil {
		return nil
	}
	if r.single && len(r.fetched) > 0 {
		keys = slices.AppendSeq(keys, maps.Keys(r.fetched))
		r.single = false
	}
	values, err := r.query(r.index.selectKeys(keys))
	if err != nil {
		r.fail(err)
		return nil
	}
	if r.fetched == nil {
		r.fetched = make(map[backend.Key][]byte)
	}
	for _, k := range keys {
		if before, repeated := r.fetched[k]; repeated && !bytes.Equal(before, values[k]) {
			r.fail(errChanged)
			return nil
		}
		r.fetched[k] = values[k]
	}
	return values
}

// selectKeys returns a statement that reads keys of any tables.
func (x *Index) selectKeys(keys []backend.Key) (statement, []backend.Table) {
	byTable := make(map[backend.Table][][]byte)
	var tables []backend.Table
	for _, k := range keys {
		if byTable[k.Table] == nil {
			tables = append(tables, k.Table)
		}
		byTable[k.Table] = append(byTable[k.Table], []byte(k.Key))
	}
	var s statement
	parts := make([]string, len(tables))
	for i, table := range tables {
		parts[i] = fmt.Sprintf("select %d, key, value from %s where key = any($%d::bytea[])", i, x.tables[table], i+1)
		s.args = append(s.args, byTable[table])
	}
	s.sql = strings.Join(parts, " union all ")
	return s, tables
}

// query runs a statement that yields the index of a table, a key and a value in each row.
func (r *reader) query(s statement, tables []backend.Table) (map[backend.Key][]byte, error) {
	found := make(map[backend.Key][]byte)
	err := r.run(s, func(rows pgx.Rows) error {
		var table int
		var key, value []byte
		for rows.Next() {
			if err := rows.Scan(&table, &key, &value); err != nil {
				return err
			}
			found[backend.Key{Table: tables[table], Key: string(key)}] = value
			value = nil
		}
		return rows.Err()
	})
	return found, err
}

// run runs a statement in one round trip, together with what begins the transaction.
func (r *reader) run(s statement, read func(pgx.Rows) error) error {
	var batch pgx.Batch
	queued := 0
	if !r.begun && !r.single {
		for _, b := range r.begin {
			batch.Queue(b.sql, b.args...)
			queued++
		}
	}
	batch.Queue(s.sql, s.args...)
	for attempt := 0; ; attempt++ {
		err := r.send(&batch, queued, read)
		if attempt == 0 && !r.begun && pgconn.SafeToRetry(err) && r.reconnect() == nil {
			continue // the pool had a connection that the server has closed
		}
		if !r.single {
			r.begun = true
		}
		return err
	}
}

func (r *reader) send(batch *pgx.Batch, skip int, read func(pgx.Rows) error) (err error) {
	results := r.conn.SendBatch(r.ctx, batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for range skip {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	return read(rows)
}

// reconnect replaces the connection.
func (r *reader) reconnect() error {
	conn, err := r.index.acquire(r.ctx)
	if err == nil {
		r.conn.Release()
		r.conn = conn
	}
	return err
}

// The numbers of rows that a scan reads at a time: most scans end after a few keys.
const (
	firstPage = 16
	lastPage  = 4096
)

// Scan implements [backend.ReadTx].
func (r *reader) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if r.index.tables[table] == "" {
			return
		}
		for limit := firstPage; ; limit = min(limit*4, lastPage) {
			keys, values := r.page(table, prefix, after, limit)
			for i, key := range keys {
				if !yield(key, values[i]) {
					return
				}
			}
			if len(keys) < limit {
				return
			}
			after = keys[len(keys)-1]
		}
	}
}

// page reads the first keys of a scan.
func (r *reader) page(table backend.Table, prefix, after string, limit int) (keys []string, values [][]byte) {
	if r.err != nil || !r.beginScan() {
		return nil, nil
	}
	s := statement{sql: "select key, value from " + r.index.tables[table] + " where key >= $1 and key > $2", args: []any{[]byte(prefix), []byte(after)}}
	if end := prefixEnd(prefix); end != nil {
		s.sql += " and key < $3"
		s.args = append(s.args, end)
	}
	s.sql += fmt.Sprintf(" order by key limit %d", limit)
	if after == "" {
		s.sql = strings.Replace(s.sql, "key > $2", "key >= $2", 1)
	}
	err := r.run(s, func(rows pgx.Rows) error {
		for rows.Next() {
			var key, value []byte
			if err := rows.Scan(&key, &value); err != nil {
				return err
			}
			keys, values = append(keys, string(key)), append(values, value)
		}
		return rows.Err()
	})
	if err != nil {
		r.fail(err)
		return nil, nil
	}
	return keys, values
}

// beginScan begins the transaction of a view. It repeats what the view has read without one.
func (r *reader) beginScan() bool {
	if !r.single {
		return true
	}
	if len(r.fetched) > 0 {
		r.read(nil)
	}
	r.single = false
	return r.err == nil
}

// prefixEnd returns the first key after all keys that begin with prefix; nil if there is none.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}
