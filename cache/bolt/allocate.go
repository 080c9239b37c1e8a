package bolt

import (
	"errors"
	"os"
	"syscall"
)

// allocated has room set aside on the disk for all of the index's file: bbolt makes it larger than what is in it, and leaves
// the rest a hole. So a transaction can be committed that takes no more than that when the disk is full. Without one,
// nothing could be deleted, and the disk would stay full.
type preallocation struct {
	file *os.File // nil if that cannot be done here
	size int64
}

// open begins with what there is. That it cannot be done is no reason not to go on.
func (a *preallocation) open(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	a.file = file
	a.grow()
}

// grow follows the file, if it became larger.
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
	case !errors.Is(err, syscall.ENOSPC): // then it is tried again
		a.close()
	}
}

func (a *preallocation) close() {
	if a.file != nil {
		a.file.Close() // nothing was written to it
		a.file = nil
	}
}
