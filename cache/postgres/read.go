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

	fetched map[backend.Key]found // what was read
	err     error                 // the first failure
}

// found is what was read for a [backend.Key]: a value, or the first rows of a prefix.
type found struct {
	value []byte // nil if there is no such key
	rows  []row  // up to firstPage of them
}

type row struct {
	key   string
	value []byte
}

func (f found) equal(other found) bool {
	return bytes.Equal(f.value, other.value) &&
		slices.EqualFunc(f.rows, other.rows, func(a, b row) bool { return a.key == b.key && bytes.Equal(a.value, b.value) })
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Prefetch implements [backend.ReadTx].
func (r *reader) Prefetch(keys iter.Seq[backend.Key]) {
	missing := make(map[backend.Key]bool)
	for k := range keys {
		if _, known := r.fetched[k]; !known && r.index.tables[k.Table] != "" {
			missing[k] = true
		}
	}
	if len(missing) > 0 {
		r.read(slices.Collect(maps.Keys(missing)))
	}
}

// Get implements [backend.ReadTx].
func (r *reader) Get(table backend.Table, key string) []byte {
	k := backend.Key{Table: table, Key: key}
	got, known := r.fetched[k]
	if !known && r.index.tables[table] != "" {
		got = r.read([]backend.Key{k})[k]
		if !r.keep && !r.single {
			delete(r.fetched, k)
		}
	}
	if r.err != nil {
		return nil
	}
	return got.value
}

// read reads keys into fetched, in one round trip. A view that begins its transaction reads the earlier ones again.
func (r *reader) read(keys []backend.Key) map[backend.Key]found {
	if r.err != nil {
		return nil
	}
	if r.single && len(r.fetched) > 0 {
		keys = slices.AppendSeq(keys, maps.Keys(r.fetched))
		r.single = false
	}
	got, err := r.query(keys)
	if err != nil {
		r.fail(err)
		return nil
	}
	if r.fetched == nil {
		r.fetched = make(map[backend.Key]found)
	}
	for _, k := range keys {
		if before, repeated := r.fetched[k]; repeated && !before.equal(got[k]) {
			r.fail(errChanged)
			return nil
		}
		r.fetched[k] = got[k]
	}
	return got
}

// query reads keys and prefixes of any tables in one statement. Each row begins with the index of its source.
func (r *reader) query(keys []backend.Key) (map[backend.Key]found, error) {
	var s statement
	var parts []string
	var sources []backend.Key // without a key for the single keys of a table
	exact := make(map[backend.Table][][]byte)
	for _, k := range keys {
		if k.Prefix {
			where, args := r.index.selectPrefix(k.Table, k.Key, "", len(s.args))
			parts = append(parts, fmt.Sprintf("(select %d, %s limit %d)", len(sources), where, firstPage))
			s.args, sources = append(s.args, args...), append(sources, k)
		} else {
			exact[k.Table] = append(exact[k.Table], []byte(k.Key))
		}
	}
	for table, list := range exact {
		s.args = append(s.args, list)
		parts = append(parts, fmt.Sprintf("select %d, key, value from %s where key = any($%d::bytea[])", len(sources), r.index.tables[table], len(s.args)))
		sources = append(sources, backend.Key{Table: table})
	}
	s.sql = strings.Join(parts, " union all ")
	all := make(map[backend.Key]found)
	err := r.run(s, func(rows pgx.Rows) error {
		for rows.Next() {
			var source int
			var key, value []byte
			if err := rows.Scan(&source, &key, &value); err != nil {
				return err
			}
			k := sources[source]
			if k.Prefix {
				all[k] = found{rows: append(all[k].rows, row{string(key), value})}
			} else {
				k.Key = string(key)
				all[k] = found{value: value}
			}
		}
		return rows.Err()
	})
	return all, err
}

// selectPrefix returns the rest of a select of the keys that begin with prefix and are greater than after, in order. Its
// arguments follow n others.
func (x *Index) selectPrefix(table backend.Table, prefix, after string, n int) (sql string, args []any) {
	from, compare := prefix, ">="
	if after >= prefix && after != "" {
		from, compare = after, ">"
	}
	sql, args = fmt.Sprintf("key, value from %s where key %s $%d", x.tables[table], compare, n+1), []any{[]byte(from)}
	if end := prefixEnd(prefix); end != nil {
		sql += fmt.Sprintf(" and key < $%d", n+2)
		args = append(args, end)
	}
	return sql + " order by key", args
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
	ctx, cancel := context.WithTimeout(r.ctx, answerTimeout)
	defer cancel()
	results := r.conn.SendBatch(ctx, batch)
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
		limit := firstPage
		page, known := r.fetched[backend.Key{Table: table, Key: prefix, Prefix: true}]
		if !known || after != "" {
			page.rows = r.page(table, prefix, after, limit)
		}
		for {
			for _, row := range page.rows {
				if r.err != nil || !yield(row.key, row.value) {
					return
				}
			}
			if len(page.rows) < limit {
				return
			}
			after, limit = page.rows[len(page.rows)-1].key, min(limit*4, lastPage)
			page.rows = r.page(table, prefix, after, limit)
		}
	}
}

// page reads the first rows of a scan after a key.
func (r *reader) page(table backend.Table, prefix, after string, limit int) (page []row) {
	if r.err != nil || !r.beginScan() {
		return nil
	}
	sql, args := r.index.selectPrefix(table, prefix, after, 0)
	err := r.run(statement{fmt.Sprintf("select %s limit %d", sql, limit), args}, func(rows pgx.Rows) error {
		for rows.Next() {
			var key, value []byte
			if err := rows.Scan(&key, &value); err != nil {
				return err
			}
			page = append(page, row{string(key), value})
		}
		return rows.Err()
	})
	if err != nil {
		r.fail(err)
		return nil
	}
	return page
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
