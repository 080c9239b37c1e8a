package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// errEnded says that a writer was used after Commit, Suspend, Keep or Abort: a fault of the caller.
var errEnded = errors.New("the blob is no longer being written")

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

	mu    sync.Mutex // guards what follows, for Tail
	file  *os.File   // nil until the first byte comes: most uploads that begin have their first byte come much later
	path  string     // where the bytes are, or will be; "" once they are nowhere
	part  int64      // how many of them stay whatever becomes of the rest: a part that was kept
	ended bool       // also read without the lock by the goroutine that ends it
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
	if w.ended {
		return 0, errEnded
	}
	for {
		space := w.hasher.space()
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
	if w.ended {
		return 0, errEnded
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
	w.writeback.reach(file, w.size, w.files.startWriteback)
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
	if w.ended {
		return "", errEnded
	}
	return digest.NewDigest(w.algorithm, w.hasher.settle()), nil
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
		return nil, errEnded
	}
	if !w.ended {
		if err := w.openLocked(); err != nil {
			return nil, err
		}
	}
	return os.Open(w.path)
}

// Verify implements [backend.Writer].
func (w *writer) Verify(d digest.Digest) error {
	if w.ended {
		return errEnded
	}
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return err
	}
	if w.verified == d {
		return nil
	}
	h := w.hasher.settle()
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
