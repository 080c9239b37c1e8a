package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate allocates disk space for a range of a file without changing the size of the file.
func allocate(file *os.File, offset, length int64) error {
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length)
}
