package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is returned if the file cannot be read as an index. The file was not changed.
var ErrDamaged = errors.New("its file is damaged")

// probe reads the tree once before bbolt opens the file for writing. bbolt then reads the tree as well, to find the
// free pages, but a damaged file would end the process: bbolt panics in its own goroutine, or reads beyond the end of
// the file.
func probe(path string) (err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil // Open creates the index
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, cause)
		}
	}()
	db, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if system := syscall.Errno(0); err != nil && !errors.Is(err, bolterrors.ErrTimeout) && !errors.As(err, &system) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			var before []byte
			return bucket.ForEach(func(key, _ []byte) error {
				if before != nil && bytes.Compare(before, key) >= 0 {
					return fmt.Errorf("%w: the keys of table %s are not in order", ErrDamaged, name)
				}
				before = key
				return nil
			})
		})
	})
}
