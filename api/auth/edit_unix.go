//go:build unix

package auth

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock opens a file for this process alone, after it made it where there is none, for the user that owns the folder: the
// server may be another one than who types commands. Closing the file lets the next one in.
func lock(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			if folder, err := os.Stat(filepath.Dir(path)); err == nil {
				_ = own(file, folder) // who may not stays the owner
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
		file.Close() // who was before has replaced it
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
}

// own gives a file to the owner of another one, which only root can do where that is somebody else.
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

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
