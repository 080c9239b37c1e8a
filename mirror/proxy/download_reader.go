package proxy

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"airmirror/mirror"
)

// besides opens transfers of one client that run beside a download.
type besides struct {
	// passthrough opens the blob at an offset without storing it.
	passthrough func(off int64) (mirror.Blob, error)
	// span opens a part of the blob; nil if there are none.
	span func(ctx context.Context, s mirror.Span) (io.ReadCloser, error)
}

// reader opens a reader of the blob for one client. Its reads end with ctx. If the store fails, the reader continues with
// a passthrough. unsubscribe is called when the reader is closed.
func (d *download) reader(ctx context.Context, size int64, besides besides, unsubscribe func()) (mirror.Blob, error) {
	tail, err := d.in.Tail()
	if err != nil {
		unsubscribe()
		return besides.passthrough(0)
	}
	r := &downloadReader{ctx: ctx, download: d, tail: tail, size: size, besides: besides, unsubscribe: sync.OnceFunc(unsubscribe)}
	return mirror.Blob{ReadSeekCloser: r, Size: size}, nil
}

// downloadReader reads a blob while it arrives.
type downloadReader struct {
	besides
	ctx         context.Context
	download    *download
	tail        mirror.Tail
	size        int64 // -1 while it is unknown
	off         int64
	err         error
	unsubscribe func()
	spans       []mirror.Span // that the client will read; none if it reads everything
	current     *spanTransfer // the span that is read beside the download; nil if there is none
	fallback    io.ReadCloser // the passthrough that replaces the download after the store failed; nil before
}

// Read waits for at least one byte, or for the end or the failure of the download.
func (r *downloadReader) Read(p []byte) (n int, err error) {
	if r.size >= 0 && r.off >= r.size {
		return 0, io.EOF
	}
	if r.inSpan() {
		n, err = r.readSpan(p)
	}
	if r.fallback == nil && n == 0 && err == nil {
		n, err = r.readDownload(p)
		if isStoreError(err) {
			var blob mirror.Blob
			if blob, err = r.passthrough(r.off); err == nil {
				r.fallback = blob
			}
		}
	}
	if r.fallback != nil {
		n, err = r.fallback.Read(p)
	}
	r.off += int64(n)
	if n > 0 {
		return n, nil
	}
	r.err = err
	return 0, err
}

// CopyTo writes up to n of the next bytes to w, and waits for them as Read does. If the tail is a file, CopyTo copies what
// has arrived from that file, so that the kernel can send it to a connection.
func (r *downloadReader) CopyTo(w io.Writer, n int64) (sent int64, err error) {
	if r.size >= 0 {
		n = min(n, r.size-r.off)
	}
	for file, ok := r.tail.(*os.File); ok && sent < n && r.fallback == nil && !r.inSpan(); {
		end, err := r.download.waitReadable(r.ctx, r.off)
		if err == nil {
			_, err = file.Seek(r.off, io.SeekStart)
		}
		if err != nil {
			break // Read meets the same error and handles it
		}
		copied, err := io.CopyN(w, file, min(n-sent, end-r.off))
		r.off += copied
		sent += copied
		if err == io.EOF { // the file is shorter than what arrived
			break
		}
		if err != nil {
			return sent, err
		}
	}
	if sent == n {
		return sent, nil
	}
	copied, err := io.CopyN(w, struct{ io.Reader }{r}, n-sent)
	return sent + copied, err
}

func (r *downloadReader) readDownload(p []byte) (int, error) {
	end, err := r.download.waitReadable(r.ctx, r.off)
	if err != nil {
		return 0, err
	}
	return r.tail.ReadAt(p[:min(int64(len(p)), end-r.off)], r.off)
}

// Err returns the error of the last Read, for a caller that does not see it.
func (r *downloadReader) Err() error { return r.err }

// Whole waits until the size of the blob is known, and returns it.
func (r *downloadReader) Whole() (size int64, err error) {
	if r.size < 0 {
		if size, err = r.download.waitSize(r.ctx); err != nil {
			return 0, err
		}
		r.size = size
	}
	return r.size, nil
}

// Seek implements [io.Seeker]. It does not wait.
func (r *downloadReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		if r.size < 0 {
			return r.off, errors.New("the size of the blob is not known yet")
		}
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a blob")
	}
	if offset != r.off && r.fallback != nil {
		return r.off, errors.New("cannot go back in a blob that is not stored")
	}
	if offset != r.off {
		r.closeSpan()
	}
	r.off = offset
	return offset, nil
}

// Close implements [io.Closer]. The download continues if a manifest names the blob or other subscribers wait.
func (r *downloadReader) Close() error {
	r.unsubscribe()
	r.closeSpan()
	if r.fallback != nil {
		r.fallback.Close()
	}
	return r.tail.Close()
}
