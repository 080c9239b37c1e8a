package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// fill writes n entries of a table, of which it deletes all but every tenth again, and returns those.
func fill(t *testing.T, x *bolt.Index, table backend.Table, n int) (rest map[string]string) {
	t.Helper()
	rest = map[string]string{}
	value := strings.Repeat("v", 1000)
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for i := range n {
			if err := tx.Put(table, fmt.Sprintf("k%06d", i), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for i := range n {
			key := fmt.Sprintf("k%06d", i)
			if i%10 == 0 {
				rest[key] = value
			} else if err := tx.Delete(table, key); err != nil {
				return err
			}
		}
		return nil
	}))
	return rest
}

// entries returns the entries of a table.
func entries(tx backend.ReadTx, table backend.Table) map[string]string {
	all := map[string]string{}
	for key, value := range tx.Scan(table, "", "") {
		all[key] = string(value)
	}
	return all
}

// hasEntries checks the entries of a table.
func hasEntries(t *testing.T, x *bolt.Index, table backend.Table, want map[string]string) {
	t.Helper()
	must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
		if got := entries(tx, table); !maps.Equal(got, want) {
			t.Errorf("table %s has %d entries, want %d", table, len(got), len(want))
		}
		return nil
	}))
}

func put(t *testing.T, x *bolt.Index, table backend.Table, key string) {
	t.Helper()
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put(table, key, []byte("new")) }))
}

// TestCompact checks that a compaction frees space, keeps all entries and the lock, and does not disturb views.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	one, two := fill(t, x, "one", 20_000), fill(t, x, "two", 3000)
	size, free, err := x.Usage()
	must(t, err)
	if info, err := os.Stat(path); err != nil || info.Size() != size || free < size*7/10 {
		t.Errorf("%d of %d bytes are free: %v", free, size, err)
	}
	must(t, x.View(t.Context(), func(tx backend.ReadTx) error { // begins on the old file
		before, after, err := x.Compact(t.Context())
		must(t, err)
		if info, err := os.Stat(path); err != nil || info.Size() != after || before != size || after > size-free+4<<20 {
			t.Errorf("%d bytes became %d, of which %d were free: %v", before, after, free, err)
		}
		put(t, x, "one", "later")
		if got := entries(tx, "one"); !maps.Equal(got, one) {
			t.Errorf("a view sees %d entries after the compaction, want %d", len(got), len(one))
		}
		return nil
	}))
	if _, err := bolt.Open(path); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("another process can open the compacted index: %v", err)
	}
	one["later"] = "new"
	hasEntries(t, x, "one", one)
	must(t, x.CheckFile())
	if defects, err := x.Check(t.Context()); err != nil || len(defects) > 0 {
		t.Errorf("the compacted file has defects: %v %v", defects, err)
	}
	must(t, x.Close())
	x, err = bolt.Open(path)
	must(t, err)
	defer x.Close()
	hasEntries(t, x, "one", one)
	hasEntries(t, x, "two", two)
}

// TestCompactAmongWrites checks that no update is lost while the index is compacted again and again.
func TestCompactAmongWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	want := fill(t, x, "one", 2000)
	ended := make(chan error)
	go func() {
		for range 20 {
			if _, _, err := x.Compact(t.Context()); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for i, running := 0, true; running; i++ {
		key := fmt.Sprintf("n%d", i)
		put(t, x, "one", key)
		want[key] = "new"
		must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
			if tx.Get("one", key) == nil {
				t.Errorf("%s is not visible after its update", key)
			}
			return nil
		}))
		select {
		case err := <-ended:
			must(t, err)
			running = false
		default:
		}
	}
	must(t, x.Close())
	x, err = bolt.Open(path)
	must(t, err)
	defer x.Close()
	hasEntries(t, x, "one", want)
}

// TestCompactThatEndsEarly checks that a canceled compaction, and one that a crash ended, leave the index as it was.
func TestCompactThatEndsEarly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	left := path + ".compact"
	must(t, os.WriteFile(left, []byte("of a crash"), 0o600))
	x, err := bolt.Open(path)
	must(t, err)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	want := fill(t, x, "one", 20_000)
	must(t, os.WriteFile(left, []byte("of somebody else"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := x.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled compaction: %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a canceled compaction leaves its file: %v", err)
	}
	put(t, x, "one", "later")
	want["later"] = "new"
	hasEntries(t, x, "one", want)
	must(t, x.Close())
	if _, _, err := x.Compact(t.Context()); !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("a compaction after Close: %v", err)
	}
}
