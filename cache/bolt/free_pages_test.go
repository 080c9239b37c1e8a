package bolt_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// TestCloseWritesFreePages checks that a file that was closed has its list of free pages, and that one that was written
// to since has none.
func TestCloseWritesFreePages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	for i := range 3 {
		x, err := bolt.Open(path)
		must(t, err)
		if !freePagesListed(t, path) {
			t.Errorf("run %d begins without a list", i)
		}
		for j := range 20 {
			must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
				return tx.Put("blobs", fmt.Sprint(j), make([]byte, 10000))
			}))
		}
		if freePagesListed(t, path) {
			t.Errorf("run %d has a list while it is open", i)
		}
		must(t, x.Close())
		if !freePagesListed(t, path) {
			t.Errorf("run %d leaves no list", i)
		}
	}
}

// freePagesListed reports whether the newest meta page of a file names a list of free pages.
func freePagesListed(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.ReadFile(path)
	must(t, err)
	newest := file[16:]
	if second := file[os.Getpagesize()+16:]; binary.NativeEndian.Uint64(second[48:]) > binary.NativeEndian.Uint64(newest[48:]) {
		newest = second
	}
	return binary.NativeEndian.Uint64(newest[32:]) != 1<<64-1
}
