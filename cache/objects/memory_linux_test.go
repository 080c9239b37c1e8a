package objects

import (
	"os"
	"syscall"
)

// memoryFolder is a file system in memory. The tests use it if it has room: most of their time they would wait for a disk.
const memoryFolder = "/dev/shm"

func init() {
	var room syscall.Statfs_t
	if syscall.Statfs(memoryFolder, &room) == nil && int64(room.Bavail)*room.Bsize > 2<<30 {
		_ = os.Setenv("TMPDIR", memoryFolder)
	}
}
