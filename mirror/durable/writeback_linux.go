package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// StartWriteback asks the kernel to start writing a range of a file to disk, and does not wait. It is a hint: only fsync
// ensures that the range is on disk, and fsync also reports the errors of the writeback.
func StartWriteback(file *os.File, from, n int64) {
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), from, n, unix.SYNC_FILE_RANGE_WRITE)
	})
}
