package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"airmirror/cache/backend"
)

// TestCopyIsConsistent copies an index during updates, each of which writes two keys.
func TestCopyIsConsistent(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
				return errors.Join(write("a"+strconv.Itoa(i))(tx), write("b"+strconv.Itoa(i))(tx))
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		path := filepath.Join(t.TempDir(), "copy")
		var out bytes.Buffer
		n, err := x.Copy(t.Context(), &out)
		if err != nil || n != int64(out.Len()) {
			t.Fatalf("copied %d bytes of %d: %v", out.Len(), n, err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o400); err != nil {
			t.Fatal(err)
		}
		after, err := OpenCopy(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := keys(t, after); n%2 != 0 {
			t.Errorf("%d keys: the copy contains half an update", n)
		}
		if err := after.Update(t.Context(), backend.Locks{}, write("c")); err == nil {
			t.Error("Update of a copy succeeded")
		}
		if err := after.Close(); err != nil {
			t.Error(err)
		}
		if defects, err := x.Check(t.Context()); err != nil || len(defects) > 0 {
			t.Errorf("Check during updates: %v, %v", defects, err)
		}
	}
	stop()
	writer.Wait()
}

func TestCopyStopsWithContext(t *testing.T) {
	x := open(t, t.TempDir())
	defer x.Close()
	ctx, cancel := context.WithCancel(t.Context())
	n, err := x.Copy(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("copied %d bytes: %v", n, err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestCheckFindsDamagedPage replaces the largest key of a page by a smaller one in the file.
func TestCheckFindsDamagedPage(t *testing.T) {
	folder := t.TempDir()
	x := open(t, folder)
	defer x.Close()
	err := x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for i := range 500 { // a small table has no page of its own
			if err := write("key " + strconv.Itoa(i))(tx); err != nil {
				return err
			}
		}
		return write("last-of-all")(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if defects, err := x.Check(t.Context()); err != nil || len(defects) > 0 {
		t.Fatalf("Check of a new index: %v, %v", defects, err)
	}
	path := filepath.Join(folder, "index.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for at := 0; ; at++ {
		next := bytes.Index(data[at:], []byte("last-of-all"))
		if next < 0 {
			break
		}
		at += next
		if _, err := file.WriteAt([]byte("A"), int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if defects, err := x.Check(t.Context()); err != nil || len(defects) == 0 {
		t.Errorf("Check with a page out of order: %v, %v", defects, err)
	}
}
