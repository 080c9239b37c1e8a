//go:build unix

package auth

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock opens a file with an exclusive lock. It creates the file if necessary, for the owner of the folder: the server
// may run as another user than the command. Closing the file releases the lock.
func lock(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			if folder, err := os.Stat(filepath.Dir(path)); err == nil {
				_ = own(file, folder) // without the privilege, the current user stays the owner
			}
		} else if file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
			file.Close()
			return nil, err
		}
		held, err := file.Stat()
		if err == nil {
			var now os.FileInfo
			if now, err = os.Stat(path); err == nil && os.SameFile(held, now) {
				return file, nil
			}
		}
		file.Close() // the previous holder of the lock has replaced the file
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
}

// own gives a file the owner of another file. If that is a different user, only root can do so.
func own(file *os.File, of os.FileInfo) error {
	want, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	return file.Chown(int(want.Uid), int(want.Gid))
}
