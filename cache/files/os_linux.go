package files

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// hardLinked reports whether a file has more than one name.
func hardLinked(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// versionOf returns the version of a file.
func versionOf(info os.FileInfo) version {
	v := version{size: info.Size(), written: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		v.device, v.inode, v.changed = stat.Dev, stat.Ino, stat.Ctim.Nano()
	}
	return v
}

// Space returns the size of the file system with the blobs, and the space that this process can still use, in bytes.
func (f *Files) Space() (total, free int64, err error) {
	var stat unix.Statfs_t
	for {
		if err = unix.Statfs(f.root, &stat); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the free space of %s: %w", f.root, err)
	}
	return int64(stat.Blocks) * int64(stat.Bsize), int64(stat.Bavail) * int64(stat.Bsize), nil
}
