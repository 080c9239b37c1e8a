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

// ErrDamaged says that the file is no index that can be read. Nothing in it was changed.
var ErrDamaged = errors.New("its file is damaged")

// probe reads the tree in the file once, before it is opened to be written. bbolt does so then as well, to find the free
// pages, but in a damaged file what it meets ends the process: it panics in a goroutine of its own, or reads where the file
// has ended.
func probe(path string) (err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil // it is made anew
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, fault)
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
