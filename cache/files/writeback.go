package files

import (
	"os"
	"sync/atomic"
)

// writebackStep is how many bytes are written before the disk is told to begin with them: the fsync at the end then
// waits for the last of them and not for all.
const writebackStep = 8 << 20

// writeback has the disk told from a goroutine of its own. The kernel does not wait for the disk, but it does for room in
// the disk's queue, and a sender should not.
type writeback struct {
	from int64       // where the bytes begin that the disk was not told of
	busy atomic.Bool // it is being told of those before
}

// reach is called with how many bytes are in file. While the disk is still being told of some there is no second
// goroutine: the next one tells of more at once. Nobody waits for it either: a file that is closed under it stays open
// until the system call returns, and what it did not come to is for fsync to do.
func (w *writeback) reach(file *os.File, size int64, start func(file *os.File, from, n int64)) {
	from := w.from
	if size-from < writebackStep || !w.busy.CompareAndSwap(false, true) {
		return
	}
	w.from = size
	go func() {
		defer w.busy.Store(false)
		start(file, from, size-from)
	}()
}
