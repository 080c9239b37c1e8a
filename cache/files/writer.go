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

// errClosed says that a writer was used after Commit, Suspend, Keep or Abort: a fault of the caller.
var errClosed = errors.New("the blob is no longer being written")

// writer implements [backend.Writer].
type writer struct {
	files     *Files
	id        string
	label     string
	algorithm digest.Algorithm
	hasher    hasher
	size      int64
	writeback writeback
	verified  digest.Digest // what the bytes are known to be; "" if that was not asked since the last write
	saved     bool          // there is a state file
	current   bool          // and it says what is written

	mu          sync.Mutex // guards what follows, for Tail
	file        *os.File   // nil until the first byte comes: most uploads that begin have their first byte come much later
	path        string     // where the bytes are, or will be; "" once they are nowhere
	partialSize int64      // how many of them stay whatever becomes of the rest: a part that was kept
	closed      bool       // also read without the lock by the goroutine that ends it
}

func (w *writer) ID() string    { return w.id }
func (w *writer) Label() string { return w.label }
func (w *writer) Size() int64   { return w.size }

// Write implements [io.Writer]. It hashes after it writes, so that after a write that failed half way the hash is
// still the hash of what is in the file.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.write(p)
	w.hasher.write(p[:n])
	return n, err
}

// ReadFrom implements [io.ReaderFrom]. An error of r is returned as it is.
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

// open returns the file, which it makes the first time.
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

// Tail implements [backend.Writer]. It opens the file by its name, which changes when the blob is committed.
func (w *writer) Tail() (mirror.Tail, error) {
	file, err := w.tail()
	if err != nil {
		return nil, fmt.Errorf("read along with blob upload %s: %w", w.id, err)
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
		return mirror.Errorf(mirror.CodeDigestInvalid, "the %d bytes that came are %s, not %s", w.size, got, d)
	}
	w.verified = d
	return nil
}

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
