//go:build torture

package torture_test

import (
	"context"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	diskSize  = 512 << 20
	blockSize = 4096
)

// blocks is the contents of a disk. Missing blocks are zeros. A block is replaced, never changed, so that copies share it.
type blocks map[int64]*[blockSize]byte

// write replaces the blocks that p covers.
func (b blocks) write(p []byte, off int64) {
	for len(p) > 0 {
		n, in := off/blockSize, off%blockSize
		size := min(len(p), int(blockSize-in))
		block := new([blockSize]byte)
		if old := b[n]; old != nil && size < blockSize {
			*block = *old
		}
		copy(block[in:], p[:size])
		b[n] = block
		p, off = p[size:], off+int64(size)
	}
}

func (b blocks) read(p []byte, off int64) {
	for len(p) > 0 {
		n, in := off/blockSize, off%blockSize
		size := min(len(p), int(blockSize-in))
		if block := b[n]; block != nil {
			copy(p[:size], block[in:])
		} else {
			clear(p[:size])
		}
		p, off = p[size:], off+int64(size)
	}
}

// entry is a write, or a flush if it has no data.
type entry struct {
	off  int64
	data []byte
}

// disk is a file in memory below a loop device. It has a volatile write cache, as disks do: a write is durable when a
// flush that began after it has ended. The log records writes and flushes in their order.
type disk struct {
	fs.Inode

	mu       sync.Mutex
	contents blocks
	base     blocks // contents at the begin of the log
	log      []entry
	bytes    int // in the log
}

// now returns the position in the log, the clock of a workload.
func (d *disk) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// logged returns how many bytes are in the log.
func (d *disk) logged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

// Open opens the file without the page cache of the kernel: each write of the device is one write here.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, fs.OK
}

// Getattr returns the size of the disk.
func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o600, diskSize
	return fs.OK
}

// Read reads what was written last.
func (d *disk) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	dest = dest[:max(0, min(int64(len(dest)), diskSize-off))]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contents.read(dest, off)
	return fuse.ReadResultData(dest), fs.OK
}

// Write logs a write.
func (d *disk) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if off+int64(len(data)) > diskSize {
		return 0, syscall.ENOSPC
	}
	data = slices.Clone(data) // the caller uses it again
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contents.write(data, off)
	d.log = append(d.log, entry{off, data})
	d.bytes += len(data)
	return uint32(len(data)), fs.OK
}

// Fsync logs a flush.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, entry{})
	return fs.OK
}
