package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"airmirror/cache/backend"
	"airmirror/mirror/durable"
)

var _ backend.Compactor = (*Index)(nil)

const (
	// compactSuffix is the suffix of the file that a compaction writes. [Open] removes what a crash left of it.
	compactSuffix = ".compact"
	// compactBatch is the size of a transaction of the copy, in bytes.
	compactBatch = 8 << 20
	// compactFill is how full the pages of the copy are. Keys are digests, so later ones go between them: full pages would
	// all be split.
	compactFill = 0.85
	// compactAlloc is the step by which the file of the copy grows. It limits the free space at its end.
	compactAlloc = 1 << 20
)

// Usage implements [backend.Compactor].
func (x *Index) Usage() (size, free int64, err error) {
	var used int64 // up to the last page
	err = x.view(func(t *bbolt.Tx) error {
		used = t.Size()
		stats := t.DB().Stats()
		free = int64(stats.FreePageN+stats.PendingPageN) * int64(t.DB().Info().PageSize)
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(x.path)
	if err != nil {
		return 0, 0, fmt.Errorf("index %s: %w", x.path, err)
	}
	return info.Size(), max(0, info.Size()-used+free), nil
}

// Compact implements [backend.Compactor]. It copies the index to a second file, syncs that, and renames it. A crash leaves
// the index with one of the files, which have the same content. Views that began before the renaming end on the old file,
// which is closed after the last one.
func (x *Index) Compact(ctx context.Context) (before, after int64, err error) {
	x.writing.Lock() // updates wait: what they write to the old file would be lost
	defer x.writing.Unlock()
	if x.retired {
		return 0, 0, ErrClosed
	}
	if err := x.CheckFile(); err != nil {
		return 0, 0, err
	}
	if before, _, err = x.Usage(); err != nil {
		return 0, 0, err
	}
	compacted, err := x.copyTables(ctx, x.path+compactSuffix)
	if err != nil {
		return 0, 0, fmt.Errorf("compact index %s: %w", x.path, err)
	}
	if err := x.replaceFile(compacted); err != nil {
		return 0, 0, fmt.Errorf("compact index %s: %w", x.path, err)
	}
	after, _, err = x.Usage()
	return before, after, err
}

// copyTables copies all tables to a new file, and syncs it. After an error, there is no file.
func (x *Index) copyTables(ctx context.Context, path string) (_ *bbolt.DB, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	to, _, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, to.Close(), os.Remove(path))
		}
	}()
	grow := to.AllocSize
	to.NoSync, to.AllocSize = true, compactAlloc
	if err := x.view(func(from *bbolt.Tx) error { return copyTo(ctx, to, from) }); err != nil {
		return nil, err
	}
	to.NoSync, to.AllocSize = false, grow
	return to, to.Sync()
}

// copyTo copies all tables of a transaction.
func copyTo(ctx context.Context, to *bbolt.DB, from *bbolt.Tx) error {
	c := tableCopy{ctx: ctx, to: to}
	err := from.ForEach(c.table)
	if c.tx == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, c.tx.Rollback())
	}
	return c.commit()
}

// tableCopy copies tables in transactions of limited size, whose pages are in memory until the commit.
type tableCopy struct {
	ctx     context.Context
	to      *bbolt.DB
	tx      *bbolt.Tx // nil before the first table
	pending int
}

// table copies a table.
func (c *tableCopy) table(name []byte, from *bbolt.Bucket) error {
	to, err := c.open(name)
	if err != nil {
		return err
	}
	if err := to.SetSequence(from.Sequence()); err != nil {
		return err
	}
	return from.ForEach(func(key, value []byte) error {
		if c.pending += len(key) + len(value); c.pending > compactBatch {
			if err := c.commit(); err != nil {
				return err
			}
			if to, err = c.open(name); err != nil {
				return err
			}
		}
		return to.Put(key, value)
	})
}

// open returns a table of the copy in the current transaction.
func (c *tableCopy) open(name []byte) (*bbolt.Bucket, error) {
	if c.tx == nil {
		var err error
		if c.tx, err = c.to.Begin(true); err != nil {
			return nil, err
		}
	}
	bucket, err := c.tx.CreateBucketIfNotExists(name)
	if err == nil {
		bucket.FillPercent = compactFill
	}
	return bucket, err
}

// commit ends the current transaction.
func (c *tableCopy) commit() error {
	tx := c.tx
	c.tx, c.pending = nil, 0
	if err := c.ctx.Err(); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// replaceFile puts a copy in the place of the file of the index. The caller holds x.writing.
func (x *Index) replaceFile(compacted *bbolt.DB) error {
	path := compacted.Path()
	info, err := os.Stat(path)
	if err == nil {
		err = x.rename(path, info)
	}
	if err != nil {
		return errors.Join(err, compacted.Close(), os.Remove(path))
	}
	old := x.db.Swap(compacted)
	x.retiring.Go(func() { _ = old.Close() }) // after its views; everything in it is durable in the copy
	x.prealloc.close()
	x.prealloc = preallocation{}
	x.prealloc.open(x.path)
	x.nameSynced = false
	return x.syncName()
}

// rename renames a file to that of the index.
func (x *Index) rename(path string, info os.FileInfo) error {
	x.fileMu.Lock()
	defer x.fileMu.Unlock()
	if err := os.Rename(path, x.path); err != nil {
		return err
	}
	x.opened = info
	return nil
}

// syncName makes the name of a compacted file durable. Until that succeeds, nothing may be written to the file: after a
// power failure, the name could stand for the old one.
func (x *Index) syncName() error {
	if x.nameSynced {
		return nil
	}
	err := durable.SyncFolder(filepath.Dir(x.path))
	x.nameSynced = err == nil
	return err
}
