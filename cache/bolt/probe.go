package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged is returned if the file cannot be read as an index. The file was not changed.
var ErrDamaged = errors.New("its file is damaged")

// probe checks the structure of the file before bbolt opens it for writing: a damaged file would end the process, since
// bbolt panics in its own goroutine, or reads beyond the end of the file.
func probe(path string) (err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil // Open creates the index
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true}) // takes the lock, and reads the meta pages
	if err == nil {
		err = errors.Join(checkFile(path), db.Close())
	}
	if system := syscall.Errno(0); err != nil && !errors.Is(err, bolterrors.ErrTimeout) && !errors.As(err, &system) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// checkFile checks the structure of a file that is locked. The pages of the tree are in no order in the file, so all of it
// is brought into memory first.
func checkFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	meta, _ := readMetas(file)
	if meta.pageSize == 0 {
		return errors.New("the file has no valid meta page")
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if pages := uint64(info.Size() / meta.pageSize); meta.end > pages {
		return fmt.Errorf("the file has %d pages instead of %d", pages, meta.end)
	}
	readAhead(file, int64(meta.end)*meta.pageSize)
	c := &structure{file: file, meta: meta, used: make([]uint64, meta.end/64+1)}
	if err := c.tableList(); err != nil {
		return err
	}
	return c.freeList()
}
