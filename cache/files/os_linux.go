package files

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// startWriteback tells the kernel to begin writing a range to disk and does not wait for it. It is a hint: that the
// range got there is for fsync to say, which sees errors of this as well.
func startWriteback(file *os.File, from, n int64) {
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), from, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// shared reports whether a file has another name.
func shared(info os.FileInfo) bool {
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
