//go:build !linux

package durable

import (
	"errors"
	"fmt"
	"os"
)

// CreateTemp creates the file that is being written. It does not reuse an existing file: there is no lock that shows
// whether another process writes it.
func CreateTemp(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is being written by another process, or was left by a killed one: remove it if no export is running", path)
	}
	return file, err
}

// RenameTemp closes a synced file and gives it its final name. Some systems cannot rename open files.
func RenameTemp(file *os.File, path string) error {
	_ = file.Close() // the content is synced; remove closes it again if the rename fails
	return os.Rename(file.Name(), path)
}
