package cachetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"airmirror/cache/backend"
)

func testIndexInsert(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b")
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		if err := errors.Join(tx.Delete("t", "b"), tx.Insert("t", "a", []byte("new")), tx.Insert("t", "b", []byte("new")),
			tx.Insert("t", "c", []byte("new")), tx.Insert("t", "c", []byte("newer"))); err != nil {
			return err
		}
		if a, b, c := tx.Get("t", "a"), tx.Get("t", "b"), tx.Get("t", "c"); string(a) != "value of a" || string(b) != "new" || string(c) != "new" {
			t.Errorf("the transaction reads %q, %q and %q after its inserts", a, b, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := x.get("t", "a"), x.get("t", "b"), x.get("t", "c"); a != "value of a" || b != "new" || c != "new" {
		t.Errorf("the index has %q, %q and %q after the inserts", a, b, c)
	}
	err = x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Insert("t", "empty", nil) })
	if err == nil {
		t.Error("Insert of an empty value succeeded")
	}
}

// testIndexPrefetch reads keys after announcing them, some of which the transaction has written.
func testIndexPrefetch(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b", "c")
	read := func(tx backend.ReadTx) string {
		return fmt.Sprintf("%s %s %s %s", tx.Get("t", "a"), tx.Get("t", "b"), tx.Get("t", "c"), tx.Get("none", "a"))
	}
	announce := func(tx backend.ReadTx) {
		tx.Prefetch(slices.Values([]backend.Key{}))
		tx.Prefetch(slices.Values([]backend.Key{{Table: "t", Key: "a"}, {Table: "t", Key: "b"}, {Table: "t", Key: "c"}, {Table: "none", Key: "a"}}))
	}
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		if err := tx.Put("t", "a", []byte("new")); err != nil {
			return err
		}
		announce(tx)
		if err := tx.Delete("t", "b"); err != nil {
			return err
		}
		if got, want := read(tx), "new  value of c "; got != want {
			t.Errorf("the update reads %q, want %q", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		x.put("t", fmt.Sprintf("p%02d", i))
	}
	scan := func(tx backend.ReadTx, prefix, after string) (n int) {
		for range tx.Scan("t", prefix, after) {
			n++
		}
		return n
	}
	prefixes := slices.Values([]backend.Key{{Table: "t", Key: "p", Prefix: true}, {Table: "t", Key: "p1", Prefix: true}, {Table: "t", Key: "q", Prefix: true}, {Table: "t", Key: "c"}})
	err = x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		tx.Prefetch(prefixes)
		if p, p1, rest, q := scan(tx, "p", ""), scan(tx, "p1", ""), scan(tx, "p", "p44"), scan(tx, "q", ""); p != 50 || p1 != 10 || rest != 5 || q != 0 {
			t.Errorf("announced scans yield %d, %d, %d and %d keys, want 50, 10, 5 and none", p, p1, rest, q)
		}
		return errors.Join(tx.Put("t", "q", []byte("new")), tx.Delete("t", "p10"))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = x.View(context.Background(), func(tx backend.ReadTx) error {
		tx.Prefetch(prefixes)
		if p, p1, q := scan(tx, "p", ""), scan(tx, "p1", ""), scan(tx, "q", ""); p != 49 || p1 != 9 || q != 1 {
			t.Errorf("announced scans of a view yield %d, %d and %d keys, want 49, 9 and 1", p, p1, q)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = x.View(context.Background(), func(tx backend.ReadTx) error {
		announce(tx)
		if got, want := read(tx), "new  value of c "; got != want {
			t.Errorf("the view reads %q, want %q", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testIndexLocks increments counters in updates that declare the counter, those of two counters in both orders, and in
// updates that declare nothing. No increment may be lost.
func testIndexLocks(t *testing.T, x indexTest) {
	defer x.close()
	countWithLocks(t, []backend.Index{x.Index})
}

// countWithLocks is testIndexLocks with several handles on one index.
func countWithLocks(t *testing.T, handles []backend.Index) {
	const workers, each, counters = 12, 6, 3
	var all sync.WaitGroup
	for worker := range workers {
		x := handles[worker%len(handles)]
		all.Go(func() {
			for i := range each {
				first, second := "counter "+strconv.Itoa(i%counters), "counter "+strconv.Itoa((i+worker)%counters)
				locks := backend.Locks{Shared: []string{"all", first}, Exclusive: []string{first, second}}
				if worker%4 == 3 {
					locks = backend.Locks{} // alone
				}
				err := x.Update(context.Background(), locks, func(tx backend.WriteTx) error {
					if worker%4 == 2 { // the keys are read in one request
						tx.Prefetch(slices.Values([]backend.Key{{Table: "t", Key: first}, {Table: "t", Key: "late"}}))
					}
					return errors.Join(count(tx, first), tx.Insert("t", "first", []byte(strconv.Itoa(worker))), tx.Lock("late"), count(tx, "late"))
				})
				if err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	all.Wait()
	x := indexTest{Index: handles[0], t: t}
	for i := range counters {
		if got, want := x.get("t", "counter "+strconv.Itoa(i)), strconv.Itoa(workers*each/counters); got != want {
			t.Errorf("counter %d has %s, want %s", i, got, want)
		}
	}
	if got, want := x.get("t", "late"), strconv.Itoa(workers*each); got != want {
		t.Errorf("the counter whose lock is taken late has %s, want %s", got, want)
	}
}

func count(tx backend.WriteTx, key string) error {
	n, _ := strconv.Atoi(string(tx.Get("t", key)))
	return tx.Put("t", key, []byte(strconv.Itoa(n+1)))
}

// SharedIndex tests an index that several processes use at the same time. open returns a handle on the index of a folder.
func SharedIndex(t *testing.T, open func(t *testing.T, folder string) backend.Index) {
	folder := t.TempDir()
	a, b := indexTest{Index: open(t, folder), t: t}, indexTest{Index: open(t, folder), t: t}
	defer a.close()
	defer b.close()
	t.Run("Visible", func(t *testing.T) {
		a.put("visible", "a")
		b.put("visible", "b")
		for _, x := range []indexTest{a, b} {
			if got := x.all("visible"); len(got) != 2 {
				t.Errorf("a handle reads %q, want what both wrote", got)
			}
		}
	})
	t.Run("Locks", func(t *testing.T) { countWithLocks(t, []backend.Index{a.Index, b.Index}) })
	t.Run("Insert", func(t *testing.T) { insertTogether(t, a, b) })
}

// insertTogether inserts the same keys by both handles, in opposite orders. One of the values stays.
func insertTogether(t *testing.T, handles ...indexTest) {
	const keys = 40
	var all sync.WaitGroup
	for i, x := range handles {
		all.Go(func() {
			for n := range keys {
				err := x.Update(context.Background(), backend.Locks{Shared: []string{"s"}}, func(tx backend.WriteTx) error {
					for m := range 4 {
						if i%2 == 1 {
							m = 3 - m
						}
						if err := tx.Insert("insert", fmt.Sprintf("%d.%d", n, m), []byte(strconv.Itoa(i))); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("insert: %v", err)
				}
			}
		})
	}
	all.Wait()
	entries := handles[0].all("insert")
	if len(entries) != 4*keys {
		t.Errorf("the table has %d keys, want %d", len(entries), 4*keys)
	}
	for n := range keys {
		if first, last := entries[fmt.Sprintf("%d.0", n)], entries[fmt.Sprintf("%d.3", n)]; first != last {
			t.Errorf("keys of round %d were inserted by handles %s and %s, although one transaction inserts both", n, first, last)
		}
	}
}
