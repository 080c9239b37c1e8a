// Package bolt implements [backend.Index] with one file of bbolt: a B+ tree that is read through a memory map and changed
// by copying pages. Readers never wait for writers, and a crash leaves the last acknowledged transaction.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"airmirror/cache/backend"
	"airmirror/mirror/durable"
)

// ErrLocked is returned if another process has the index open. One process owns a data folder.
var ErrLocked = errors.New("data folder is in use by another process")

// ErrFileReplaced is returned by an update after the file of the index was removed or replaced. The update would be
// lost.
var ErrFileReplaced = errors.New("its file was removed or replaced while in use: 'mirror backup' can still write a copy of it")

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("index is closed")

// lockTimeout is how long Open waits for the lock of the file: long enough for a process that is about to end, short
// enough for a user at a prompt.
const lockTimeout = 500 * time.Millisecond

// Index implements [backend.Index]. A table is a bucket, which the first write to it creates.
type Index struct {
	path      string
	db        atomic.Pointer[bbolt.DB] // a compaction replaces it
	closeOnce sync.Once
	closeErr  error

	fileMu sync.Mutex  // guards opened
	opened os.FileInfo // of the file in use; nil if it is only read

	writing    sync.Mutex     // held by whoever writes to the file, or replaces it
	retired    bool           // Close has begun to close the file; guarded by writing
	nameSynced bool           // see syncName; guarded by writing
	retiring   sync.WaitGroup // files that were replaced and still have views

	mu     sync.Mutex // guards queue and closed
	queue  []*update
	closed bool
	wake   chan struct{} // holds a token while the committer has work
	done   chan struct{} // closed when the committer has ended

	prealloc preallocation // guarded by writing
	fill     float64       // how full pages become when they are split; 0 is the default of bbolt
	commits  int           // number of transactions committed; written by the committer, read by tests after Close
}

var _ backend.Index = (*Index)(nil)

// Open opens the index in the file at path, and creates it if it does not exist. It returns [ErrLocked] if another
// process has it open, and [ErrDamaged] if the file cannot be read as an index.
func Open(path string) (*Index, error) {
	if err := probe(path); err != nil {
		return nil, openError(path, err)
	}
	db, opened, err := openFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(now, opened) {
		// The process that had the file open has replaced it, for example by one that it migrated.
		if err := errors.Join(err, db.Close()); err != nil {
			return nil, fmt.Errorf("open index %s: %w", path, err)
		}
		return Open(path)
	}
	// This process owns the file, so no other one is compacting it.
	if err := os.Remove(path + compactSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), db.Close())
	}
	if err := durable.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), db.Close())
	}
	x := newIndex(db, opened)
	x.prealloc.open(path)
	return x, nil
}

// openFile opens a file for reading and writing, and creates it if it does not exist.
func openFile(path string) (db *bbolt.DB, opened os.FileInfo, err error) {
	var file *os.File // closed by bbolt
	options := bbolt.Options{
		Timeout: lockTimeout,
		// The list of free pages is not written with every commit, so the cost of a commit depends on what it changes,
		// not on the pages that a large collection freed. Close writes the list once; after a crash, Open rebuilds it by
		// reading the tree. The map type finds a run of free pages without walking the whole list.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		// A writer that enlarges the memory map waits for all readers, and a survey reads for seconds.
		InitialMmapSize: reserve(),
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	db, err = bbolt.Open(path, 0o600, &options)
	if errors.Is(err, syscall.ENOMEM) { // address space is scarce: enlarge the map as needed
		options.InitialMmapSize = 0
		db, err = bbolt.Open(path, 0o600, &options)
	}
	if err != nil {
		return nil, nil, err
	}
	if opened, err = file.Stat(); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, opened, nil
}

// bulkFill is how full [Create] makes the pages of a table: keys that are added later find room in most of them.
const bulkFill = 0.8

// Create creates an index for a program that writes all of it at once, in the order of keys, and closes it before
// anything else opens it. It replaces a file at path. Nothing is durable before Close; an error of Close means that the
// file is not complete.
func Create(path string) (*Index, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("create index %s: %w", path, err)
	}
	db, opened, err := openFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	db.NoSync = true
	x := newIndex(db, opened)
	x.fill = bulkFill
	return x, nil
}

// OpenCopy opens a file that [Index.Copy] wrote for reading: every Update fails. Several processes may read it at the
// same time.
func OpenCopy(path string) (*Index, error) {
	if err := probe(path); err != nil {
		return nil, openError(path, err)
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return nil, openError(path, err)
	}
	return newIndex(db, nil), nil
}

// openError wraps an error of opening the file at path.
func openError(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = ErrLocked
	}
	return fmt.Errorf("open index %s: %w", path, err)
}

func newIndex(db *bbolt.DB, opened os.FileInfo) *Index {
	x := &Index{path: db.Path(), opened: opened, nameSynced: true, wake: make(chan struct{}, 1), done: make(chan struct{})}
	x.db.Store(db)
	go x.runCommitter()
	return x
}

// reserve returns the initial size of the memory map: far more than an index needs. Unused address space is free,
// except on 32-bit systems, and on Windows, where the file gets the size of its map.
func reserve() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	size := int64(64) << 30 // not a constant, which would overflow int on 32-bit systems
	return int(size)
}

// View implements [backend.Index]. f must not call Update: a writer that enlarges the memory map waits for readers.
func (x *Index) View(ctx context.Context, f func(backend.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return x.view(func(t *bbolt.Tx) error { return f(&tx{bolt: t}) })
}

// view calls f with a transaction of the current file.
func (x *Index) view(f func(*bbolt.Tx) error) error {
	for {
		db := x.db.Load()
		err := db.View(f)
		switch {
		case !errors.Is(err, bolterrors.ErrDatabaseNotOpen):
			return err
		case x.db.Load() == db:
			return ErrClosed
		}
		// A compaction has replaced the file before the transaction began.
	}
}

// Close completes the queued updates, waits for views, and closes the file.
func (x *Index) Close() error {
	x.closeOnce.Do(func() {
		x.mu.Lock()
		x.closed = true
		x.mu.Unlock()
		x.wakeCommitter()
		<-x.done
		x.writing.Lock() // waits for a compaction
		defer x.writing.Unlock()
		x.retired = true
		x.writeFreeList()
		db := x.db.Load()
		var err error
		if db.NoSync {
			err = db.Sync()
		}
		if err := errors.Join(err, db.Close()); err != nil {
			x.closeErr = fmt.Errorf("close index: %w", err)
		}
		x.retiring.Wait()
		x.prealloc.close()
	})
	return x.closeErr
}

// writeFreeList writes the list of free pages, so that the next Open need not read the tree to find them. The committer
// has ended. A failure is not an error: everything else is durable, and Open rebuilds the list.
func (x *Index) writeFreeList() {
	if x.opened == nil || x.CheckFile() != nil {
		return
	}
	db := x.db.Load()
	t, err := db.Begin(true)
	if err != nil {
		return
	}
	// Changing a bucket writes a new list of tables. The one before it stays in the file, for [Salvage].
	name, _ := t.Cursor().First()
	if name == nil {
		_ = t.Rollback()
		return
	}
	if _, err := t.Bucket(name).NextSequence(); err != nil {
		_ = t.Rollback()
		return
	}
	db.NoFreelistSync = false
	_ = t.Commit() // bbolt rolls back a commit that fails
}
