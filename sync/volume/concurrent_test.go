//go:build linux

package volume_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"airmirror/sync/volume"
)

func TestLeftoverPartIsTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	for _, size := range []int64{0, 100} {
		store(t, path+"-part", make([]byte, 1000))
		save(t, path, content(10), size, volume.Options{})
	}
	if !bytes.Equal(load(t, path), content(10)) || !bytes.Equal(load(t, path+".001"), content(10)) {
		t.Error("the stream contains bytes of the leftover part")
	}
}

// TestConcurrentWriters checks that one Writer at a time writes to a path, that the others fail, and that the file is
// complete.
func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(memoryDir(t), "b")
	var wg sync.WaitGroup
	for writer := range 4 {
		wg.Go(func() {
			for range 2000 {
				w, err := volume.Create(path, 0, volume.Options{Overwrite: true})
				if err != nil {
					if !strings.Contains(err.Error(), "being written by another process") {
						t.Error(err)
					}
					continue
				}
				fmt.Fprint(w, strings.Repeat(fmt.Sprint(writer), 1000))
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				if err := w.Abort(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := load(t, path); len(got) != 1000 || !bytes.Equal(got, bytes.Repeat(got[:1], 1000)) {
		t.Errorf("it has %d bytes: %.100q", len(got), got)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("files: %v", got)
	}
}
