package cache_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/files"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// TestStore runs the suite on files and bolt, in new folders for each test. Afterwards it checks the invariants of the
// index.
func TestStore(t *testing.T) {
	cachetest.Store(t, func(t *testing.T) mirror.Store {
		blobs := openFiles(t, t.TempDir())
		index := orderedIndex{openBolt(t, t.TempDir()), blobs}
		s := newStore(t, blobs, index, cache.Options{})
		cache.CheckLocks(t, s)
		return checkedStore{s, blobs, index, t}
	})
}

// orderedIndex fails if an entry is added before its file exists.
type orderedIndex struct {
	backend.Index
	blobs backend.Blobs
}

func (x orderedIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	return x.Index.Update(ctx, locks, func(tx backend.WriteTx) error { return f(orderedTx{tx, x.blobs}) })
}

type orderedTx struct {
	backend.WriteTx
	blobs backend.Blobs
}

func (tx orderedTx) Put(table backend.Table, key string, value []byte) error {
	return errors.Join(tx.checkStored(table, key), tx.WriteTx.Put(table, key, value))
}

func (tx orderedTx) Insert(table backend.Table, key string, value []byte) error {
	return errors.Join(tx.checkStored(table, key), tx.WriteTx.Insert(table, key, value))
}

func (tx orderedTx) checkStored(table backend.Table, key string) error {
	if table != cache.TableBlobs {
		return nil
	}
	d, _, _ := packed.AppendDigestText(nil, []byte(key)) // the store writes keys in binary
	if _, err := tx.blobs.Stat(context.Background(), digest.Digest(d)); err != nil {
		return fmt.Errorf("indexed before it is durable: %w", err)
	}
	return nil
}

// checkedStore checks its index when it is closed.
type checkedStore struct {
	*cache.Store
	blobs backend.Blobs
	index backend.Index
	t     *testing.T
}

func (s checkedStore) Close() error {
	if err := s.FlushRecency(context.Background()); err != nil {
		s.t.Error(err)
	}
	if err := cache.Check(context.Background(), s.blobs, s.index); err != nil {
		s.t.Error(err)
	}
	return s.Store.Close()
}

func openFiles(t testing.TB, folder string) backend.Blobs {
	t.Helper()
	blobs, err := files.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return blobs
}

func openBolt(t testing.TB, folder string) backend.Index {
	t.Helper()
	index, err := bolt.Open(filepath.Join(folder, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func newStore(t testing.TB, blobs backend.Blobs, index backend.Index, options cache.Options) *cache.Store {
	t.Helper()
	s, err := cache.New(blobs, index, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
