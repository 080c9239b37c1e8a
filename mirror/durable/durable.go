// Package durable makes changes to files survive a power loss. It imports no other package of the module.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// SyncFolder makes the names of files in a folder durable: those of new and of renamed files. It does nothing on systems
// and file systems that cannot sync folders.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // some network file systems
	}
	return errors.Join(err, folder.Close())
}

// Replace replaces the file at path, or creates it. Readers see the previous or the new content, never a part of it. Only
// the owner can read the new file, unless prepare changes that: it sets the owner and the permissions of the new file
// before the file contains data.
func Replace(path string, data []byte, prepare func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	if err = prepare(file); err == nil {
		_, err = file.Write(data)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
		return err
	}
	return SyncFolder(filepath.Dir(path))
}
