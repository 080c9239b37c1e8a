package volume

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createTemp creates the file that is being written, which only its owner may read: it has images of all repositories. It
// empties the one that a process left that was killed. It is locked until it is closed: of two that write to the same
// place, the second one fails.
func createTemp(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
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
		file.Close() // it got its final name, or was removed, before it was locked
	}
}

// private lets nobody else read a file that may have been there before.
func restrictMode(file *os.File) error {
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(info.Mode().Perm() & 0o600)
	}
	return err
}

// lockTemp reports whether the file still has its name.
func lockTemp(file *os.File) (ours bool, err error) {
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, fmt.Errorf("%s is being written by another process", file.Name())
	}
	// A file system that has no locks must do without.
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

// renameTemp gives a synced file its final name and closes it: in that order, so that it is locked until then. After an
// error it is as it was.
func renameTemp(file *os.File, path string) error {
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	_ = file.Close() // all of it was synced
	return nil
}

// startWriteback tells the kernel to begin writing a range to disk and does not wait for it. It is a hint: that the range
// got there is for fsync to say, which sees errors of this as well.
func startWriteback(file *os.File, from, n int64) {
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), from, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
