package bolt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// TestOpenPreallocatesFile checks that the file has no holes, when it is new and after it has grown.
func TestOpenPreallocatesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	defer x.Close()
	for i := range 40 {
		info, err := os.Stat(path)
		must(t, err)
		if room := info.Sys().(*syscall.Stat_t).Blocks * 512; room < info.Size() {
			t.Fatalf("after %d transactions, %d bytes of file use %d bytes of disk", i, info.Size(), room)
		}
		must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
			return tx.Put("blobs", fmt.Sprint(i), make([]byte, 1<<20))
		}))
	}
}
