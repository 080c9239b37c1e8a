package bolt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// TestOpenDamagedFile checks that Open returns an error for damage that would end the process in bbolt, and does not
// change the file.
func TestOpenDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for i := range 2000 {
			if err := tx.Put("blobs", fmt.Sprintf("key %04d", i), make([]byte, 50)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, x.Close())
	original, err := os.ReadFile(path)
	must(t, err)
	page := os.Getpagesize()
	random := rand.New(rand.NewPCG(1, 2))
	damaged := 0
	for name, damage := range map[string]func(i int, file []byte) []byte{
		"cut off": func(i int, file []byte) []byte { return file[:(i+1)*page+7] },
		"zeroes":  func(i int, file []byte) []byte { clear(file[(2+i)*page : (3+i)*page]); return file },
		"random": func(i int, file []byte) []byte {
			for at := range page {
				file[(2+i)*page+at] = byte(random.Uint32())
			}
			return file
		},
	} {
		for i := range 20 {
			file := damage(i, append([]byte(nil), original...))
			must(t, os.WriteFile(path, file, 0o600))
			x, err := bolt.Open(path)
			if err == nil { // the page is not in use
				must(t, x.Close())
				continue
			}
			damaged++
			if !errors.Is(err, bolt.ErrDamaged) {
				t.Errorf("%s, page %d: %v", name, i, err)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != string(file) {
				t.Errorf("%s, page %d: the file changed, %v", name, i, err)
			}
			if _, err := bolt.OpenCopy(path); !errors.Is(err, bolt.ErrDamaged) {
				t.Errorf("%s, page %d, as a copy: %v", name, i, err)
			}
		}
	}
	if damaged < 20 {
		t.Errorf("damage was detected in only %d files", damaged)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	must(t, os.WriteFile(path, []byte("no index"), 0o600))
	lock, err := bolt.Lock(path)
	must(t, err)
	if _, err := bolt.Open(path); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("Open while locked: %v", err)
	}
	must(t, lock.Close())
	must(t, os.Remove(path))
	x, err := bolt.Open(path)
	must(t, err)
	defer x.Close()
	if _, err := bolt.Lock(path); !errors.Is(err, bolt.ErrLocked) {
		t.Errorf("Lock while open: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpenDamagedFreeList checks that Open refuses a list of free pages with a page that is in use, or outside of the
// file: bbolt would overwrite it.
func TestOpenDamagedFreeList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x, err := bolt.Open(path)
	must(t, err)
	for i := range 10 { // each leaves pages that are free
		must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
			return tx.Put("blobs", fmt.Sprint(i), make([]byte, 10000))
		}))
	}
	must(t, x.Close())
	original, err := os.ReadFile(path)
	must(t, err)
	size := os.Getpagesize()
	list := -1
	for at := 2 * size; at < len(original) && list < 0; at += size {
		if binary.NativeEndian.Uint16(original[at+8:]) == 0x10 && binary.NativeEndian.Uint16(original[at+10:]) > 0 {
			list = at
		}
	}
	if list < 0 {
		t.Fatal("there is no list of free pages")
	}
	for _, wrong := range []uint64{0, 1, uint64(list / size), 1 << 40} {
		file := append([]byte(nil), original...)
		binary.NativeEndian.PutUint64(file[list+16:], wrong)
		must(t, os.WriteFile(path, file, 0o600))
		if x, err := bolt.Open(path); !errors.Is(err, bolt.ErrDamaged) {
			t.Errorf("with page %d: %v", wrong, err)
			x.Close()
		}
	}
}
