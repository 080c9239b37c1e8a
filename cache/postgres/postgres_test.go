package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/mirror"
)

func TestIndex(t *testing.T) {
	server(t)
	cachetest.Index(t, folderDatabases{}.open)
}

func TestSharedIndex(t *testing.T) {
	server(t)
	cachetest.SharedIndex(t, folderDatabases{}.open)
}

// TestRoundTrips counts how often a transaction waits for the server.
func TestRoundTrips(t *testing.T) {
	var trips atomic.Int64
	x := OpenCounted(t, Database(t), &trips)
	defer x.Close()
	locks := backend.Locks{Shared: []string{"repository"}, Exclusive: []string{"digest"}}
	prefetch := func(tx backend.ReadTx) {
		tx.Prefetch(slices.Values([]backend.Key{{Table: "t", Key: "a"}, {Table: "t", Key: "b"}, {Table: "u", Key: "a"}}))
		_, _, _ = tx.Get("t", "a"), tx.Get("t", "b"), tx.Get("u", "a")
	}
	put := func(tx backend.WriteTx) error {
		return errors.Join(tx.Put("t", "a", []byte("x")), tx.Insert("u", "a", []byte("x")), tx.Delete("one", "a"))
	}
	tests := []struct {
		name string
		want int64
		run  func() error
	}{
		{"a view that prefetches", 1, func() error {
			return x.View(t.Context(), func(tx backend.ReadTx) error { prefetch(tx); return nil })
		}},
		{"a view that reads twice", 3, func() error {
			return x.View(t.Context(), func(tx backend.ReadTx) error { prefetch(tx); _ = tx.Get("t", "c"); return nil })
		}},
		{"an update that only writes", 1, func() error { return x.Update(t.Context(), locks, put) }},
		{"an update that prefetches and writes", 2, func() error {
			return x.Update(t.Context(), locks, func(tx backend.WriteTx) error { prefetch(tx); return put(tx) })
		}},
		{"an update that does nothing", 0, func() error {
			return x.Update(t.Context(), locks, func(backend.WriteTx) error { return nil })
		}},
	}
	for _, test := range tests {
		before := trips.Load()
		if err := test.run(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := trips.Load() - before; got != test.want {
			t.Errorf("%s takes %d round trips, want %d", test.name, got, test.want)
		}
	}
}

// TestFailedRead breaks the connection in the middle of a view and of an update.
func TestFailedRead(t *testing.T) {
	x := OpenIndex(t, Database(t))
	defer x.Close()
	put := func(tx backend.WriteTx) error { return tx.Put("t", "a", []byte("x")) }
	if err := x.Update(t.Context(), backend.Locks{}, put); err != nil {
		t.Fatal(err)
	}
	use := func(tx backend.ReadTx) error {
		for range tx.Scan("u", "", "") { // begins the transaction
		}
		r, ok := tx.(*reader)
		if !ok {
			r = &tx.(*writer).reader
		}
		if _, err := x.pool.Exec(t.Context(), "select pg_terminate_backend($1)", r.conn.Conn().PgConn().PID()); err != nil {
			t.Error(err)
		}
		if tx.Get("t", "a") != nil || tx.Get("t", "a") != nil {
			t.Error("a key is present after a failed read")
		}
		for range tx.Scan("t", "", "") {
			t.Error("a scan after a failed read yields a key")
		}
		return nil
	}
	if err := x.View(t.Context(), use); mirror.CodeOf(err) != mirror.CodeUnavailable {
		t.Errorf("a view whose read failed returned %v", err)
	}
	if err := x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return errors.Join(use(tx), tx.Delete("t", "a")) }); mirror.CodeOf(err) != mirror.CodeUnavailable {
		t.Errorf("an update whose read failed returned %v", err)
	}
	present := false
	if err := x.View(t.Context(), func(tx backend.ReadTx) error { present = tx.Get("t", "a") != nil; return nil }); err != nil || !present {
		t.Errorf("after that, the key is present: %t, %v", present, err)
	}
}

// TestViewRepeats changes the index between two reads of a view.
func TestViewRepeats(t *testing.T) {
	x := OpenIndex(t, Database(t))
	defer x.Close()
	runs, a, b := 0, "", ""
	err := x.View(t.Context(), func(tx backend.ReadTx) error {
		a = string(tx.Get("t", "count"))
		if runs++; runs == 1 {
			if err := x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
				return errors.Join(tx.Put("t", "count", []byte("1")), tx.Put("u", "count", []byte("1")))
			}); err != nil {
				t.Error(err)
			}
		}
		b = string(tx.Get("u", "count"))
		return nil
	})
	if err != nil || a != b || runs != 2 {
		t.Errorf("the view read %q and %q in run %d, %v", a, b, runs, err)
	}
}

// TestManyLocks declares more names than the server has room for.
func TestManyLocks(t *testing.T) {
	x := OpenIndex(t, Database(t))
	defer x.Close()
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			var locks backend.Locks
			for i := range maxLocks {
				locks.Shared = append(locks.Shared, fmt.Sprint(worker, i))
			}
			locks.Exclusive = []string{"counter"}
			if worker%2 == 0 {
				locks.Exclusive, locks.Shared = nil, append(locks.Shared, "too many")
			}
			err := x.Update(t.Context(), locks, func(tx backend.WriteTx) error {
				n, _ := strconv.Atoi(string(tx.Get("t", "count")))
				return tx.Put("t", "count", []byte(strconv.Itoa(n+1)))
			})
			if err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	all.Wait()
	err := x.View(t.Context(), func(tx backend.ReadTx) error {
		if got := string(tx.Get("t", "count")); got != "16" {
			t.Errorf("counted %s, want 16", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOpen opens what the index must refuse, and one new database by several nodes at a time.
func TestOpen(t *testing.T) {
	s := server(t)
	fails := func(url, want string) {
		t.Helper()
		x, err := Open(t.Context(), Options{URL: url})
		if err == nil {
			x.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("open: %v; want one line with %q", err, want)
		}
	}
	fails(s.url("missing"), `database "missing" does not exist`)
	fails("host=/nowhere dbname=d user=u", "/nowhere")
	url := Database(t)
	fails(url+" options='-c synchronous_commit=off'", "synchronous_commit is off")

	for _, sql := range []string{"drop database if exists empty", "create database empty"} {
		if err := s.exec("postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			x, err := Open(t.Context(), Options{URL: s.url("empty")})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			x.Close()
		})
	}
	all.Wait()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []int{1, 2} {
		if err := s.exec("empty", fmt.Sprintf("insert into mirror_migrations values (%d)", len(files)+next)); err != nil {
			t.Fatal(err)
		}
		if x, err := Open(t.Context(), Options{URL: s.url("empty")}); err == nil {
			x.Close()
		} else if next == 1 {
			t.Errorf("the tables of the next version are refused: %v", err)
		}
	}
	fails(s.url("empty"), "a newer version of the mirror has migrated it")
}
