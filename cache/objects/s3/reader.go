package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"airmirror/mirror"
)

// Reader reads an object. After a failure it continues with another request. One goroutine may use it.
type Reader struct {
	bucket *Bucket
	ctx    context.Context
	key    string
	at     int64 // offset of the next byte
	size   int64
	body   io.ReadCloser // nil before the first request, and after a failure
	cancel context.CancelFunc
	failed int // failures since the last byte
	err    error
}

var _ io.ReadSeekCloser = (*Reader)(nil)

// Open opens an object of a known size, which is not 0. It returns [ErrNotFound] if there is no such object, and another
// error if it has another size. The reader fails when ctx ends.
func (b *Bucket) Open(ctx context.Context, key string, size int64) (*Reader, error) {
	r := &Reader{bucket: b, ctx: ctx, key: key, size: size}
	for r.body == nil {
		if err := r.request(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	for r.at < r.size {
		if r.body == nil {
			if err := r.request(); err != nil {
				r.err = err
				return 0, err
			}
		}
		n, err := r.read(p[:min(int64(len(p)), r.size-r.at)])
		r.at += int64(n)
		if n > 0 {
			r.failed = 0
		}
		if err != nil {
			r.drop()
			if n == 0 {
				if r.err = r.fail(err); r.err != nil {
					return 0, r.err
				}
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// read reads from the answer, for no longer than the time limit.
func (r *Reader) read(p []byte) (int, error) {
	stalled := time.AfterFunc(r.bucket.timeout, r.cancel)
	defer stalled.Stop()
	n, err := r.body.Read(p)
	if err == io.EOF && r.at+int64(n) < r.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// request asks for the rest of the object.
func (r *Reader) request() error {
	ctx, cancel := context.WithCancel(r.ctx)
	stalled := time.AfterFunc(attempts*r.bucket.timeout, cancel)
	defer stalled.Stop()
	var options minio.GetObjectOptions
	if r.at > 0 {
		if err := options.SetRange(r.at, 0); err != nil {
			cancel()
			return err
		}
	}
	body, info, _, err := r.bucket.core.GetObject(ctx, r.bucket.config.Bucket, r.bucket.name(r.key), options)
	if err != nil {
		cancel()
		return r.bucket.explain(r.ctx, "read object", r.key, err)
	}
	if info.Size != r.size-r.at {
		cancel()
		body.Close()
		return fmt.Errorf("read object %s in %s: %w", r.bucket.name(r.key), r.bucket, &SizeError{Got: r.at + info.Size, Want: r.size})
	}
	r.body, r.cancel = body, cancel
	return nil
}

// SizeError means that an object has another size than expected.
type SizeError struct{ Got, Want int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the object has %d bytes instead of %d", e.Got, e.Want)
}

// fail counts a failure, and waits before the next request. It returns an error after the last one.
func (r *Reader) fail(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	if r.failed++; r.failed == attempts {
		if errors.Is(err, context.Canceled) {
			err = fmt.Errorf("no bytes for %v", r.bucket.timeout)
		}
		return mirror.Errorf(mirror.CodeUnavailable, "read object %s in %s: the object storage does not answer: %w", r.bucket.name(r.key), r.bucket, err)
	}
	select {
	case <-time.After(time.Duration(r.failed) * 100 * time.Millisecond):
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *Reader) drop() {
	if r.body != nil {
		r.cancel()
		r.body.Close()
		r.body = nil
	}
}

// Seek implements [io.Seeker].
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return r.at, errors.New("seek before the beginning of an object")
	}
	if offset != r.at {
		r.drop()
		r.at = offset
	}
	return offset, nil
}

// Close implements [io.Closer].
func (r *Reader) Close() error {
	r.drop()
	r.err = io.ErrClosedPipe
	return nil
}
