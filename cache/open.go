package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"airmirror/cache/bolt"
	"airmirror/cache/files"
)

// IndexName is the name of the index in a data folder.
const IndexName = "index.db"

var (
	// ErrInUse is the error for a data folder that another process has open.
	ErrInUse = bolt.ErrLocked
	// ErrIndexDamaged is the error for an index that cannot be opened; [RebuildFolder] makes a new one.
	ErrIndexDamaged = bolt.ErrDamaged
	// ErrIndexMissing is the error for a data folder that has content and no index; [RebuildFolder] makes a new one.
	ErrIndexMissing = fmt.Errorf("its index %s is missing, and there is content in it", IndexName)
)

// Config describes a store.
type Config struct {
	// Folder is the data folder. [Open] creates it if it does not exist.
	Folder string
	Options
}

// Open opens the store in a data folder. The folder belongs to this process until [Store.Close]. Open returns
// [ErrInUse], [ErrIndexDamaged] or [ErrIndexMissing]. The index of an older version of the program is migrated: Open logs
// the progress, and a version before this one cannot open the folder any more. A data folder that a newer version has
// written is refused.
func Open(c Config) (*Store, error) {
	if err := os.MkdirAll(c.Folder, 0o750); err != nil {
		return nil, err
	}
	if _, err := HasIndex(c.Folder); err != nil {
		return nil, err
	}
	// The lock on the index protects the whole folder, and files.Open deletes leftovers: the index comes first.
	path := filepath.Join(c.Folder, IndexName)
	index, err := bolt.Open(path)
	if err != nil {
		return nil, err
	}
	blobs, err := files.Open(c.Folder)
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	if index, err = newFileMigration(path, blobs, c.Options).run(context.Background(), index); err != nil {
		return nil, err
	}
	store, err := New(blobs, index, c.Options)
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	return store, nil
}

// HasIndex reports whether a data folder has an index. It returns [ErrIndexMissing] for a folder that lost its index: a
// new, empty one would turn all content into orphans, and the collector would delete it.
func HasIndex(folder string) (bool, error) {
	_, err := os.Stat(filepath.Join(folder, IndexName))
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	content := false
	err = filepath.WalkDir(filepath.Join(folder, "blobs"), func(_ string, entry fs.DirEntry, err error) error {
		if content = err == nil && entry.Type().IsRegular(); content {
			return fs.SkipAll
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && content {
		err = ErrIndexMissing
	}
	return false, err
}
