package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate has the file system set room aside for a part of a file that has none yet.
func allocate(file *os.File, offset, length int64) error {
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length)
}
