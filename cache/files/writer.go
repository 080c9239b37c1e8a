package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// errClosed reports that a writer was used after Commit, Suspend, SuspendPartial or Abort.
var errClosed = errors.New("the writer is closed")

// writer implements [backend.Writer].
type writer struct {
	files     *Files
	id        string
	label     string
	algorithm digest.Algorithm
	hasher    hasher
	size      int64
	writeback writeback
	verified  digest.Digest // digest that the content was verified against; "" after a write
	saved     bool          // there is a saved state
	current   bool          // the saved state describes everything that was written

	mu          sync.Mutex // guards the fields below, which Tail reads
	file        *os.File   // nil until the first write: most uploads start long before their first byte arrives
	path        string     // of the content; "" after it was deleted or replaced a blob
	partialSize int64      // bytes that discard preserves: those of the partial blob that was resumed
	closed      bool       // the goroutine that closes the writer also reads it without the lock
}

func (w *writer) ID() string    { return w.id }
func (w *writer) Label() string { return w.label }
func (w *writer) Size() int64   { return w.size }

// Write implements [io.Writer]. It hashes after it wrote, so that after a partial write the hash matches the content
// of the file.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.write(p)
	w.hasher.write(p[:n])
	return n, err
}

// ReadFrom implements [io.ReaderFrom]. It returns an error of r unchanged.
func (w *writer) ReadFrom(r io.Reader) (total int64, err error) {
	if w.closed {
		return 0, errClosed
	}
	for {
		space := w.hasher.room()
		n, readErr := r.Read(space)
		n, err := w.write(space[:n])
		w.hasher.add(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
		if readErr == io.EOF {
			return total, nil
		}
		if readErr != nil {
			return total, readErr
		}
	}
}

func (w *writer) write(p []byte) (int, error) {
	if w.closed {
		return 0, errClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	file, err := w.open()
	if err != nil {
		return 0, fmt.Errorf("write blob upload %s: %w", w.id, err)
	}
	w.verified, w.current = "", false
	n, err := file.Write(p)
	w.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob upload %s: %w", w.id, err)
	}
	w.writeback.advance(file, w.size, w.files.startWriteback)
	return n, nil
}

// open returns the file, and creates it the first time.
func (w *writer) open() (*os.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.openLocked()
	return w.file, err
}

func (w *writer) openLocked() (err error) {
	if w.file == nil {
		w.file, err = os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	}
	return err
}

// Digest implements [backend.Writer].
func (w *writer) Digest() (digest.Digest, error) {
	if w.closed {
		return "", errClosed
	}
	return digest.NewDigest(w.algorithm, w.hasher.flush()), nil
}

// Tail implements [backend.Writer]. It opens the file by its path, which Commit changes.
func (w *writer) Tail() (mirror.Tail, error) {
	file, err := w.tail()
	if err != nil {
		return nil, fmt.Errorf("tail blob upload %s: %w", w.id, err)
	}
	return file, nil
}

func (w *writer) tail() (*os.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == "" {
		return nil, errClosed
	}
	if !w.closed {
		if err := w.openLocked(); err != nil {
			return nil, err
		}
	}
	return os.Open(w.path)
}

// Verify implements [backend.Writer].
func (w *writer) Verify(d digest.Digest) error {
	if w.closed {
		return errClosed
	}
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return err
	}
	if w.verified == d {
		return nil
	}
	h := w.hasher.flush()
	if a := d.Algorithm(); a != w.algorithm {
		h = a.Hash()
		file, err := w.open()
		if err == nil {
			err = hashFile(context.Background(), h, file, w.size)
		}
		if err != nil {
			return fmt.Errorf("verify blob upload %s: %w", w.id, err)
		}
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return mirror.Errorf(mirror.CodeDigestInvalid, "the %d bytes received have digest %s, not %s", w.size, got, d)
	}
	w.verified = d
	return nil
}

// writebackStep is the number of bytes after which the disk starts to write them. So the fsync at the end waits for
// the last of them only.
const writebackStep = 8 << 20

// writeback starts the writing from its own goroutine. The kernel does not wait for the disk there, but it may wait
// for space in the disk's queue, and the sender of a blob should not.
type writeback struct {
	from int64       // offset up to which writing was started
	busy atomic.Bool // a goroutine is starting it
}

// advance is called with the number of bytes in file. It starts at most one goroutine at a time; the next one then
// starts the writing of more bytes at once. Nobody waits for the goroutine: a file that is closed meanwhile stays
// open until the system call returns, and fsync writes the rest.
func (w *writeback) advance(file *os.File, size int64, start func(file *os.File, from, n int64)) {
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
