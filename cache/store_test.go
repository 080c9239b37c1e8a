package cache_test

import (
	"path/filepath"
	"testing"

	"airmirror/cache"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/files"
	"airmirror/mirror"
)

// TestStore runs the suite over one folder of files with a new index for each test: files that the index does not name
// are invisible, so each store is empty, and the many folders are made only once.
func TestStore(t *testing.T) {
	blobs := openFiles(t, t.TempDir())
	cachetest.Store(t, func(t *testing.T) mirror.Store {
		return newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	})
}

func openFiles(t testing.TB, folder string) cache.Blobs {
	t.Helper()
	blobs, err := files.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func openBolt(t testing.TB, folder string) cache.Index {
	t.Helper()
	index, err := bolt.Open(filepath.Join(folder, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func newStore(t testing.TB, blobs cache.Blobs, index cache.Index, options cache.Options) *cache.Store {
	t.Helper()
	s, err := cache.New(blobs, index, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
