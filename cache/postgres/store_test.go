package postgres_test

import (
	"testing"

	"airmirror/cache"
	"airmirror/cache/cachetest"
	"airmirror/cache/files"
	"airmirror/cache/postgres"
	"airmirror/mirror"
)

func TestStore(t *testing.T) {
	postgres.Database(t) // starts the server, outside of the tests of the suite
	cachetest.Store(t, func(t *testing.T) mirror.Store {
		blobs, err := files.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s, err := cache.New(blobs, postgres.OpenIndex(t, postgres.Database(t)), cache.Options{Clock: postgres.MachineClock{}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestSharedStore(t *testing.T) {
	postgres.Database(t)
	cachetest.SharedStore(t, func(t *testing.T) (a, b mirror.Store) {
		url := postgres.Database(t)
		first, second := postgres.OpenIndex(t, url), postgres.OpenIndex(t, url)
		blobs := cachetest.IndexedBlobs(first, "t")
		options := cache.Options{Clock: postgres.MachineClock{}}
		a, err := cache.New(blobs, first, options)
		must(t, err)
		b, err = cache.New(blobs, second, options)
		must(t, err)
		return a, b
	})
}
