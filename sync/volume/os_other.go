//go:build !linux

package volume

import (
	"errors"
	"fmt"
	"os"
)

// createPart creates the file that is being written. Without a lock it cannot be known whether somebody writes one that
// is there.
func createPart(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is being written by another process, or was left by one: remove it if nothing runs", path)
	}
	return file, err
}

// renamePart closes a synced file and gives it its final name: some systems rename no file that is open.
func renamePart(file *os.File, path string) error {
	_ = file.Close() // all of it was synced; after a rename that failed it may be closed again
	return os.Rename(file.Name(), path)
}

func startWriteback(*os.File, int64, int64) {}
