package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// writeSample writes an index with a table that has branches, one with a single leaf, and one that is inline in the
// table list. It returns the file and its entries.
func writeSample(t *testing.T) (file []byte, entries map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	entries = make(map[string]string)
	random := rand.New(rand.NewPCG(3, 4))
	for table, count := range map[backend.Table]int{"blobs": 2000, "tags": 60, "meta": 1} {
		for batch := range slices.Chunk(random.Perm(count), 500) { // pages split on both sides
			must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
				for _, i := range batch {
					key, value := fmt.Sprintf("key %04d", i), fmt.Sprintf("%s %d %50d", table, i, i)
					entries[string(table)+" "+key] = value
					if err := tx.Put(table, key, []byte(value)); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	}
	long := string(make([]byte, 3*os.Getpagesize())) // with overflow pages
	entries["tags long"] = long
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("tags", "long", []byte(long)) }))
	must(t, x.Close())
	file, err = os.ReadFile(path)
	must(t, err)
	pages := (len(bytes.TrimRight(file, "\x00")) + os.Getpagesize() - 1) / os.Getpagesize()
	return file[:pages*os.Getpagesize()], entries // without the preallocated space
}

// salvage salvages a file, and returns what was read and what was not.
func salvage(t *testing.T, file []byte) (entries map[string]string, unread []error) {
	t.Helper()
	folder, err := os.MkdirTemp(t.TempDir(), "")
	must(t, err)
	defer os.RemoveAll(folder) // there are many folders
	from, to := filepath.Join(folder, "damaged"), filepath.Join(folder, "new")
	must(t, os.WriteFile(from, file, 0o600))
	unread, err = bolt.Salvage(t.Context(), from, to)
	must(t, err)
	entries = make(map[string]string)
	if _, err := os.Stat(to); errors.Is(err, os.ErrNotExist) {
		return entries, unread
	}
	x, err := bolt.OpenCopy(to)
	must(t, err)
	defer x.Close()
	must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
		for _, table := range []backend.Table{"blobs", "tags", "meta"} {
			for k, value := range tx.Scan(table, "", "") {
				entries[string(table)+" "+k] = string(value)
			}
		}
		return nil
	}))
	return entries, unread
}

func TestSalvageOfUndamagedFile(t *testing.T) {
	file, want := writeSample(t)
	got, unread := salvage(t, file)
	if !maps.Equal(got, want) || len(unread) > 0 {
		t.Errorf("%d entries of %d, unread: %v", len(got), len(want), unread)
	}
	clear(file[:os.Getpagesize()]) // the other meta page lacks at most the last write
	if got, unread = salvage(t, file); len(got) < len(want)-1 || len(unread) > 0 {
		t.Errorf("with one meta page: %d entries of %d, unread: %v", len(got), len(want), unread)
	}
}

// TestSalvageLosesOnlyDamagedPage checks that a damaged page is reported and that all other pages are read. For a
// damaged table list, the previous one is used, which has the same tables because the index was closed.
func TestSalvageLosesOnlyDamagedPage(t *testing.T) {
	original, want := writeSample(t)
	size := os.Getpagesize()
	inUse, lists := 0, 0
	for page := 2; page < len(original)/size; page++ {
		file := append([]byte(nil), original...)
		if empty := make([]byte, size); bytes.Equal(file[page*size:(page+1)*size], empty) {
			continue
		}
		clear(file[page*size : (page+1)*size])
		got, unread := salvage(t, file)
		for k, value := range got {
			if want[k] != value && k != "tags long" { // the content of overflow pages is not checked
				t.Fatalf("page %d: %q is %q", page, k, value)
			}
		}
		missing := len(want) - len(got)
		list := len(unread) == 1 && strings.HasPrefix(unread[0].Error(), "table list: ")
		if list && missing == 0 {
			lists++
		} else if missing > 0 != (len(unread) > 0) {
			t.Errorf("page %d: %d entries are missing, unread: %v", page, missing, unread)
		}
		if missing > 0 {
			inUse++
		}
		if missing > 100 && missing != 2000 { // more than a page, and not a whole table whose root is damaged
			t.Errorf("page %d: %d entries are missing", page, missing)
		}
	}
	if lists != 1 {
		t.Errorf("%d pages have the list of tables", lists)
	}
	if inUse < 20 {
		t.Errorf("only %d pages were in use", inUse)
	}
}

// TestSalvageOfRandomDamage checks that salvaging ends and reports missing entries.
func TestSalvageOfRandomDamage(t *testing.T) {
	original, want := writeSample(t)
	size := os.Getpagesize()
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		file := append([]byte(nil), original...)
		for range 1 + random.IntN(20) { // headers and elements of pages
			at := size*(2+random.IntN(len(file)/size-2)) + random.IntN(300)
			file[at] = byte(random.Uint32())
		}
		if random.IntN(3) == 0 {
			file = file[:random.IntN(len(file))]
		}
		got, unread := salvage(t, file)
		if len(got) < len(want) && len(unread) == 0 {
			t.Errorf("%d entries are missing without a report", len(want)-len(got))
		}
	}
	if got, unread := salvage(t, []byte("This is no index.")); len(got) > 0 || len(unread) != 1 {
		t.Errorf("%v, %v", got, unread)
	}
}
