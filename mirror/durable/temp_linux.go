package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CreateTemp creates the file that is being written, or truncates the file that a killed process left. Only the owner can
// read the file, because it contains images of all repositories. The file is locked until it is closed, so that of two
// writers of the same path the second one fails.
func CreateTemp(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("the folder %s does not exist", filepath.Dir(path))
		}
		if err != nil {
			return nil, err
		}
		ours, err := lockTemp(file)
		if err == nil && ours {
			err = errors.Join(file.Truncate(0), restrictMode(file))
		}
		if err != nil {
			file.Close()
			return nil, err
		}
		if ours {
			return file, nil
		}
		file.Close() // another process renamed or removed it before it was locked
	}
}

// restrictMode removes the permissions of others from a file that may have existed before.
func restrictMode(file *os.File) error {
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(info.Mode().Perm() & 0o600)
	}
	return err
}

// lockTemp locks the file and reports whether the file still has its name.
func lockTemp(file *os.File) (ours bool, err error) {
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, fmt.Errorf("%s is being written by another process", file.Name())
	}
	// Other errors mean that the file system does not support locks.
	opened, err := file.Stat()
	if err != nil {
		return false, err
	}
	if !opened.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file", file.Name())
	}
	named, err := os.Lstat(file.Name())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, named), err
}

// RenameTemp gives a synced file its final name and then closes it, so that it is locked until it has the name. After an
// error the file is unchanged and open.
func RenameTemp(file *os.File, path string) error {
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	_ = file.Close() // the content is synced
	return nil
}
