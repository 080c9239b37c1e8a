package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
)

func TestIndex(t *testing.T) {
	cachetest.Index(t, func(t *testing.T, folder string) backend.Index { return open(t, folder) })
}

func open(t testing.TB, folder string) *Index {
	t.Helper()
	x, err := Open(filepath.Join(folder, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func write(key string) func(backend.WriteTx) error {
	return func(tx backend.WriteTx) error { return tx.Put("t", key, []byte("x")) }
}

// keys returns the number of keys in the table of write.
func keys(t *testing.T, x *Index) (n int) {
	t.Helper()
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
		for range tx.Scan("t", "", "") {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenFailsWhileLocked(t *testing.T) {
	folder := t.TempDir()
	x := open(t, folder)
	if _, err := Open(filepath.Join(folder, "index.db")); !errors.Is(err, ErrLocked) {
		t.Errorf("opening twice: %v, want %v", err, ErrLocked)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestIndexGrowsDuringView writes much more than the index contained, during a view.
func TestIndexGrowsDuringView(t *testing.T) {
	if reserve() == 0 {
		t.Skip("the memory map is enlarged as needed here")
	}
	x := open(t, t.TempDir())
	defer x.Close()
	value := make([]byte, 1<<20)
	err := x.View(context.Background(), func(backend.ReadTx) error {
		ended := make(chan error)
		go func() {
			for i := range 32 {
				if err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("t", strconv.Itoa(i), value) }); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
		return <-ended
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAcknowledgedUpdatesSurviveKill copies the file of an open index, as a killed process would leave it.
func TestAcknowledgedUpdatesSurviveKill(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	for i := range 20 {
		if err := x.Update(context.Background(), backend.Locks{}, write(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(x.path)
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "index.db"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		after := open(t, folder)
		if n := keys(t, after); n != i+1 {
			t.Errorf("%d of %d acknowledged updates are stored", n, i+1)
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
