package objects

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// errClosed reports that a writer was used after Commit, Suspend, SuspendPartial or Abort.
var errClosed = errors.New("the writer is closed")

// writer implements [backend.Writer].
type writer struct {
	objects   *Objects
	id        string
	label     string
	algorithm digest.Algorithm
	hash      hash.Hash
	verified  digest.Digest // digest that the content was verified against; "" after a write
	size      atomic.Int64
	written   atomic.Int64 // time of the last write, in nanoseconds

	row     uploadRow    // as it was read or written last
	saved   bool         // the index has the row
	partial bool         // the writer continues a partial blob, which stays after a failure
	rest    *uploadState // the state that was resumed, as long as nothing was written
	resumed int64        // bytes that were resumed

	sent    int64   // bytes that are parts, or are being sent as parts
	parts   []*part // without their tags while they are being sent
	group   *errgroup.Group
	sending context.Context // ends when a part has failed

	mu     sync.Mutex // guards the fields below, which Tail reads
	spool  *spool     // nil until the first byte: most uploads begin long before it arrives
	stored string     // the file in the cache, after the commit
	closed bool       // the goroutine that closes the writer also reads it without the lock
}

func (w *writer) ID() string    { return w.id }
func (w *writer) Label() string { return w.label }
func (w *writer) Size() int64   { return w.size.Load() }

// open returns the spool, and creates it the first time. If the content is not on this node, it reads the rest of the last
// state back.
func (w *writer) open() (*spool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.openLocked()
}

func (w *writer) openLocked() (*spool, error) {
	switch {
	case w.closed:
		return nil, errClosed
	case w.spool != nil:
		return w.spool, nil
	}
	s, err := newSpool(w.objects.incoming(w.id), w.sent)
	if err != nil {
		return nil, err
	}
	if w.rest != nil {
		if err := w.objects.readRest(s, w.rest); err != nil {
			s.drop()
			return nil, err
		}
	}
	w.spool = s
	return s, nil
}

// readRest copies the rest of a state into a spool.
func (o *Objects) readRest(s *spool, state *uploadState) error {
	size := state.Size - s.from
	if size == 0 {
		return nil
	}
	if state.Rest.Key == "" {
		_, err := s.file.WriteAt(state.Rest.Inline[:size], 0)
		return err
	}
	r, err := o.bucket.Open(o.ctx, state.Rest.Key, state.RestSize)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyN(io.NewOffsetWriter(s.file, 0), r, size)
	return err
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, errClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.write(p)
	if err != nil {
		return n, fmt.Errorf("write blob upload %s: %w", w.id, err)
	}
	return n, nil
}

func (w *writer) write(p []byte) (int, error) {
	s, err := w.open()
	if err != nil {
		return 0, err
	}
	w.verified, w.rest = "", nil
	n, err := s.file.WriteAt(p, w.size.Load()-s.from)
	_, _ = w.hash.Write(p[:n]) // a hash never returns an error
	w.size.Add(int64(n))
	w.written.Store(time.Now().UnixNano())
	if err == nil {
		err = w.sendParts(partSize + 1)
	}
	return n, err
}

// readBuffer is the size of the buffer of ReadFrom.
const readBuffer = 128 << 10

var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// ReadFrom implements [io.ReaderFrom]. It returns an error of r unchanged.
func (w *writer) ReadFrom(r io.Reader) (total int64, err error) {
	if w.closed {
		return 0, errClosed
	}
	b := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(b)
	for {
		n, readErr := r.Read(b[:])
		n, err := w.Write(b[:n])
		total += int64(n)
		switch {
		case err != nil:
			return total, err
		case readErr == io.EOF:
			return total, nil
		case readErr != nil:
			return total, readErr
		}
	}
}

// Digest implements [backend.Writer].
func (w *writer) Digest() (digest.Digest, error) {
	if w.closed {
		return "", errClosed
	}
	return digest.NewDigest(w.algorithm, w.hash), nil
}

// Tail implements [backend.Writer]. After the commit, it opens the file in the cache.
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
	if w.stored != "" {
		return os.Open(w.stored)
	}
	s, err := w.openLocked()
	if err != nil {
		return nil, err
	}
	if s.from > 0 {
		return nil, errElsewhere
	}
	return os.Open(s.path)
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
	got := digest.NewDigest(w.algorithm, w.hash)
	if a := d.Algorithm(); a != w.algorithm {
		var err error
		if got, err = w.digestBy(a); err != nil {
			return fmt.Errorf("verify blob upload %s: %w", w.id, err)
		}
	}
	if got != d {
		return mirror.Errorf(mirror.CodeDigestInvalid, "the %d bytes received have digest %s, not %s", w.Size(), got, d)
	}
	w.verified = d
	return nil
}

// digestBy reads the content again.
func (w *writer) digestBy(a digest.Algorithm) (digest.Digest, error) {
	s, err := w.open()
	if err != nil {
		return "", err
	}
	if s.from > 0 {
		return "", errElsewhere
	}
	return a.FromReader(s.section(0, w.Size()))
}

// close ends the writer. keep leaves the content on this node, for a later writer.
func (w *writer) close(keep bool) {
	if w.closed {
		return
	}
	if w.group != nil {
		_ = w.group.Wait() // its failure was reported, or the parts are not needed
	}
	w.objects.mu.Lock()
	delete(w.objects.active, w.id)
	w.objects.mu.Unlock()
	w.mu.Lock()
	s := w.spool
	w.spool, w.closed = nil, true
	w.mu.Unlock()
	switch {
	case s == nil:
	case keep:
		w.objects.keep(w.id, w.row.Generation, s)
	default:
		s.drop()
	}
}
