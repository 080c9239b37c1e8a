package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"
)

// fill copies an object into the cache. Its readers read the file while it grows. It goes on when they leave.
type fill struct {
	key    string
	digest digest.Digest
	size   int64
	path   string
	ready  chan struct{} // closed when there is a file, or the fill has failed
	done   chan struct{} // closed at the end, after err is set
	file   *os.File      // open as long as it is used; nil if the fill failed before
	users  int           // the readers and the fill itself; guarded by Objects.mu

	mu      sync.Mutex
	changed *sync.Cond
	written int64
	err     error // io.EOF after the content was verified
}

// openFill returns a reader of an object that the cache does not have. It waits for the first answer of the store.
func (o *Objects) openFill(ctx context.Context, d digest.Digest, row objectRow) (io.ReadSeekCloser, error) {
	f, err := o.startFill(d, row)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		o.leaveFill(f)
		return nil, ctx.Err()
	}
	if f.file == nil {
		<-f.done
		o.leaveFill(f)
		return nil, f.err
	}
	r := &fillReader{objects: o, fill: f, ctx: ctx}
	r.stop = context.AfterFunc(ctx, f.wake)
	return r, nil
}

// startFill returns the fill of an object, and starts it unless it runs. The caller leaves it.
func (o *Objects) startFill(d digest.Digest, row objectRow) (*fill, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.fills[row.Key]
	if f == nil {
		if err := o.ctx.Err(); err != nil {
			return nil, err
		}
		f = &fill{key: row.Key, digest: d, size: row.Size, path: o.incoming(uuid.NewString()), ready: make(chan struct{}), done: make(chan struct{})}
		f.changed = sync.NewCond(&f.mu)
		f.users = 1
		o.fills[row.Key] = f
		o.work.Go(func() { o.fill(f) })
	}
	f.users++
	return f, nil
}

// leaveFill closes the file after its last user.
func (o *Objects) leaveFill(f *fill) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.users--; f.users == 0 && f.file != nil {
		f.file.Close()
	}
}

// fill copies the object and verifies it.
func (o *Objects) fill(f *fill) {
	err := o.copyObject(f)
	if err == nil {
		o.verified.add(f.key)
		err = io.EOF
	}
	if err != io.EOF || !o.cache.add(f.key, f.path, f.size) {
		_ = os.Remove(f.path) // what stays is deleted at the next start
	}
	o.mu.Lock()
	delete(o.fills, f.key)
	o.mu.Unlock()
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	f.changed.Broadcast()
	close(f.done)
	if f.file == nil {
		close(f.ready)
	}
	o.leaveFill(f)
}

func (o *Objects) copyObject(f *fill) error {
	object, err := o.bucket.Open(o.ctx, f.key, f.size)
	if err != nil {
		return err
	}
	defer object.Close()
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	f.file = file
	close(f.ready)
	verifier := f.digest.Verifier()
	if _, err := io.Copy(io.MultiWriter(file, verifier, f), object); err != nil {
		return err
	}
	if !verifier.Verified() {
		return errWrongDigest(f.digest)
	}
	return nil
}

// Write implements [io.Writer]: it counts the bytes that are in the file.
func (f *fill) Write(p []byte) (int, error) {
	f.mu.Lock()
	f.written += int64(len(p))
	f.mu.Unlock()
	f.changed.Broadcast()
	return len(p), nil
}

func (f *fill) wake() {
	f.mu.Lock() // a reader is either before its check of the context, or waits
	defer f.mu.Unlock()
	f.changed.Broadcast()
}

// available waits until the byte at an offset may be read, and returns the end of what may be.
func (f *fill) available(ctx context.Context, at int64) (end int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.err == io.EOF:
			return f.size, nil
		case f.err != nil:
			return 0, f.err
		}
		if end := min(f.written, f.size-1); at < end { // the last byte only when all are verified
			return end, nil
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		f.changed.Wait()
	}
}

// fillReader reads what a fill has written.
type fillReader struct {
	objects *Objects
	fill    *fill
	ctx     context.Context
	stop    func() bool
	at      int64
	closed  bool
}

// Read implements [io.Reader].
func (r *fillReader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, os.ErrClosed
	}
	if r.at >= r.fill.size {
		return 0, io.EOF
	}
	end, err := r.fill.available(r.ctx, r.at)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", r.fill.digest, err)
	}
	n, err := r.fill.file.ReadAt(p[:min(int64(len(p)), end-r.at)], r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Seek implements [io.Seeker].
func (r *fillReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.fill.size
	}
	if offset < 0 {
		return r.at, errors.New("seek before the beginning of a blob")
	}
	r.at = offset
	return offset, nil
}

// Close implements [io.Closer].
func (r *fillReader) Close() error {
	if !r.closed {
		r.closed = true
		r.stop()
		r.objects.leaveFill(r.fill)
	}
	return nil
}
