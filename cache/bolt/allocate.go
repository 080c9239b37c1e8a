package bolt

import (
	"errors"
	"os"
	"syscall"
)

// preallocation allocates disk space for the whole file of the index. bbolt makes the file larger than its content
// and leaves a hole. With the space allocated, a transaction that needs no more can be committed when the disk is
// full. Otherwise nothing could be deleted from a full disk.
type preallocation struct {
	file *os.File // nil if space cannot be allocated here
	size int64    // allocated size, in bytes
}

// open allocates space for the file as it is. A failure is not an error.
func (a *preallocation) open(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	a.file = file
	a.grow()
}

// grow allocates space for what was added to the file.
func (a *preallocation) grow() {
	if a.file == nil {
		return
	}
	info, err := a.file.Stat()
	if err != nil || info.Size() <= a.size {
		return
	}
	switch err := allocate(a.file, a.size, info.Size()-a.size); {
	case err == nil:
		a.size = info.Size()
	case !errors.Is(err, syscall.ENOSPC): // a full disk is tried again after the next commit
		a.close()
	}
}

func (a *preallocation) close() {
	if a.file != nil {
		a.file.Close() // nothing was written to it
		a.file = nil
	}
}
