package bundle

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	// bufferSize is the size of the copy buffer.
	bufferSize = 1 << 20
	// copyStep is the number of bytes that are copied between two checks of the context.
	copyStep = 64 << 20
)

// Write writes an unsigned bundle. It calls open for the manifests and blobs that the document lists, in that order. It
// returns [mirror.CodeSizeInvalid] if one does not have the listed size. It does not verify digests.
func Write(ctx context.Context, w io.Writer, c *Contents, open func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)) error {
	document, err := c.Document.encode()
	if err != nil {
		return err
	}
	out := writer{w: w, buf: make([]byte, 0, bufferSize)}
	p := membersOf(c.Document, document, nil)
	for i := range p.count() {
		part := p.at(i)
		switch part.name {
		case IndexName:
			part.content = c.Index
		case DockerName:
			part.content = c.Docker
		}
		if err := out.writeMember(ctx, part, open); err != nil {
			return fmt.Errorf("write %s: %w", part.name, err)
		}
	}
	if err := out.zeros(endSize); err != nil {
		return err
	}
	return out.flush()
}

// writer buffers small writes.
type writer struct {
	w   io.Writer
	buf []byte // unwritten bytes, up to its capacity
}

func (w *writer) writeMember(ctx context.Context, p member, open func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)) error {
	if err := w.add(header(p.name, p.Size)); err != nil {
		return err
	}
	if !p.listed {
		if int64(len(p.content)) != p.Size {
			return mirror.Errorf(mirror.CodeSizeInvalid, "it has %d bytes, and the document lists %d", len(p.content), p.Size)
		}
		if err := w.add(p.content); err != nil {
			return err
		}
	} else if err := w.writeListed(ctx, p, open); err != nil {
		return err
	}
	return w.zeros(padding(p.Size))
}

func (w *writer) writeListed(ctx context.Context, p member, open func(ctx context.Context, d digest.Digest) (io.ReadCloser, error)) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	r, err := open(ctx, p.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := w.copy(ctx, r, p.Size)
	if err != nil {
		return err
	}
	more := n == p.Size && !atEOF(r)
	if n < p.Size || more {
		return mirror.Errorf(mirror.CodeSizeInvalid, "%s does not have the listed size of %d bytes", p.Digest, p.Size)
	}
	return nil
}

// copy copies up to size bytes and returns the number of bytes copied.
func (w *writer) copy(ctx context.Context, r io.Reader, size int64) (n int64, err error) {
	if _, ok := r.(*os.File); ok && size >= bufferSize {
		if file, ok := w.w.(*os.File); ok {
			return w.copyFile(ctx, file, r, size)
		}
	}
	for n < size {
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return n, err
			}
			if ctx.Err() != nil {
				return n, context.Cause(ctx)
			}
		}
		room := w.buf[len(w.buf):cap(w.buf)]
		m, err := r.Read(room[:min(int64(len(room)), size-n)])
		w.buf = w.buf[:len(w.buf)+m]
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// copyFile copies from file to file, which lets the system copy without this process, or share the blocks.
func (w *writer) copyFile(ctx context.Context, file *os.File, r io.Reader, size int64) (n int64, err error) {
	if err := w.flush(); err != nil {
		return 0, err
	}
	for n < size {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		want := min(copyStep, size-n)
		m, err := io.Copy(file, io.LimitReader(r, want))
		n += m
		if err != nil || m < want {
			return n, err
		}
	}
	return n, nil
}

func (w *writer) add(data []byte) error {
	for len(data) > 0 {
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n := copy(w.buf[len(w.buf):cap(w.buf)], data)
		w.buf = w.buf[:len(w.buf)+n]
		data = data[n:]
	}
	return nil
}

var zeroBlock [endSize]byte

// zeros writes up to endSize zero bytes.
func (w *writer) zeros(n int64) error { return w.add(zeroBlock[:n]) }

func (w *writer) flush() error {
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// atEOF reports whether r has no more data.
func atEOF(r io.Reader) bool {
	var one [1]byte
	n, err := io.ReadFull(r, one[:])
	return n == 0 && err == io.EOF
}
