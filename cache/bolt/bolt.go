// Package bolt keeps an index in one file of bbolt, a B+ tree that is read through a memory map and changed by copying
// pages: a reader never waits for a writer, and a crash leaves the last transaction that was acknowledged.
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
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"airmirror/cache/backend"
)

// ErrLocked says that another process has the index open: one process owns a data folder.
var ErrLocked = errors.New("data folder is in use by another process")

// ErrFileReplaced says that an index would take nothing in that is kept.
var ErrFileReplaced = errors.New("its file was removed or replaced while it is in use: 'mirror backup' still writes what is in it")

// ErrClosed is what every call after Close returns.
var ErrClosed = errors.New("index is closed")

// lockTimeout is how long Open waits for the file's lock: long enough for a process that is just going away, short
// enough for a person at a prompt.
const lockTimeout = 500 * time.Millisecond

// Index implements [backend.Index]. A table is a bucket that is made by the first write to it.
type Index struct {
	db        *bbolt.DB
	opened    os.FileInfo // of the file at Open; nil if it is only read
	closeOnce sync.Once
	closeErr  error

	mu     sync.Mutex // guards queue and closed
	queue  []*update
	closed bool
	wake   chan struct{} // holds a token while the committer has something to look at
	done   chan struct{} // closed when the committer has ended

	prealloc preallocation // of the committer
	commits  int           // transactions committed; written by the committer, read by tests after Close
}

var _ backend.Index = (*Index)(nil)

// Open opens the index in the file at path and makes it where there is none. It returns [ErrLocked] if another process
// has it open, and [ErrDamaged] for a file that is no index any more.
func Open(path string) (*Index, error) {
	options := bbolt.Options{
		Timeout: lockTimeout,
		// The list of free pages is rebuilt when the file is opened, by reading the tree once, instead of being written
		// with every commit. So a commit costs what it changes, and not what a large collection once left free; and the
		// list cannot be damaged, because it is not there. etcd runs bbolt in the same way. The map finds a run of free
		// pages without walking the whole list.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		// A writer that has to enlarge the memory map waits for all readers, and a survey reads for seconds.
		InitialMmapSize: reserve(),
	}
	if err := probe(path); err != nil {
		return nil, openError(path, err)
	}
	db, err := bbolt.Open(path, 0o600, &options)
	if errors.Is(err, syscall.ENOMEM) { // addresses are few here: then it is enlarged as needed
		options.InitialMmapSize = 0
		db, err = bbolt.Open(path, 0o600, &options)
	}
	if err != nil {
		return nil, openError(path, err)
	}
	if err := SyncFolder(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), db.Close())
	}
	opened, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), db.Close())
	}
	x := newIndex(db, opened)
	x.prealloc.open(path)
	return x, nil
}

// OpenCopy opens a file that [Index.Copy] wrote, to be read: every Update fails. Others may read it at the same time.
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

// explain says why a file could not be opened.
func openError(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = ErrLocked
	}
	return fmt.Errorf("open index %s: %w", path, err)
}

func newIndex(db *bbolt.DB, opened os.FileInfo) *Index {
	x := &Index{db: db, opened: opened, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go x.runCommitter()
	return x
}

// reserve is how many addresses the memory map takes, whatever the size of the file: far more than an index needs. They
// cost nothing, but for where they are few, and where a file has the size of its map.
func reserve() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	size := int64(64) << 30 // no constant, which would not fit where it is not used
	return int(size)
}

// View implements [backend.Index]. f must not call Update: a writer that has to enlarge the memory map waits for readers.
func (x *Index) View(ctx context.Context, f func(backend.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := x.db.View(func(t *bbolt.Tx) error { return f(&tx{bolt: t}) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// Close answers the updates that are queued, waits for views, and closes the file.
func (x *Index) Close() error {
	x.closeOnce.Do(func() {
		x.mu.Lock()
		x.closed = true
		x.mu.Unlock()
		x.wakeCommitter()
		<-x.done
		if err := x.db.Close(); err != nil {
			x.closeErr = fmt.Errorf("close index: %w", err)
		}
		x.prealloc.close()
	})
	return x.closeErr
}

// SyncFolder makes the names of new files in a folder durable; bbolt syncs only what is in a file.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
