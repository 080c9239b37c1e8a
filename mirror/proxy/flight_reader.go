package proxy

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"airmirror/mirror"
)

// beside is what a client is given beside the flight, in transfers of its own.
type beside struct {
	// straight opens the blob past the store.
	straight func(off int64) (mirror.Blob, error)
	// part opens a part of it; nil if there are none.
	part func(ctx context.Context, s mirror.Span) (io.ReadCloser, error)
}

// tail opens a reader of the flight's blob for one client, whose reads end with ctx. If the store fails the flight, the
// reader goes on straight. leave is called when the flight is read no more.
func (f *flight) tail(ctx context.Context, size int64, beside beside, leave func()) (mirror.Blob, error) {
	bytes, err := f.in.Tail()
	if err != nil {
		leave()
		return beside.straight(0)
	}
	r := &flightReader{ctx: ctx, flight: f, tail: bytes, size: size, beside: beside, leave: sync.OnceFunc(leave)}
	return mirror.Blob{ReadSeekCloser: r, Size: size}, nil
}

// flightReader reads a blob that is still arriving.
type flightReader struct {
	beside
	ctx     context.Context
	flight  *flight
	tail    mirror.Tail
	size    int64 // -1 as long as it does not matter
	off     int64
	err     error
	leave   func()
	spans   []mirror.Span // that the client asks for; none if it wants all of it
	ahead   *ahead        // of the flight, for one of them; nil if there is no need
	instead io.ReadCloser // of the flight, after the store failed it
}

// Read waits for at least one byte, the end or the failure of the transfer.
func (r *flightReader) Read(p []byte) (n int, err error) {
	if r.size >= 0 && r.off >= r.size {
		return 0, io.EOF
	}
	if r.isAhead() {
		n, err = r.readAhead(p)
	}
	if r.instead == nil && n == 0 && err == nil {
		n, err = r.readFlight(p)
		if isStoreFault(err) {
			var blob mirror.Blob
			if blob, err = r.straight(r.off); err == nil {
				r.instead = blob
			}
		}
	}
	if r.instead != nil {
		n, err = r.instead.Read(p)
	}
	r.off += int64(n)
	if n > 0 {
		return n, nil
	}
	r.err = err
	return 0, err
}

// CopyTo writes up to n of the bytes that come next to w, and waits for them as Read does. Where the tail is a file, w is
// given that file for what has arrived, so that a w that is a connection can have the kernel send it.
func (r *flightReader) CopyTo(w io.Writer, n int64) (sent int64, err error) {
	if r.size >= 0 {
		n = min(n, r.size-r.off)
	}
	for file, ok := r.tail.(*os.File); ok && sent < n && r.instead == nil && !r.isAhead(); {
		end, err := r.flight.readable(r.ctx, r.off)
		if err == nil {
			_, err = file.Seek(r.off, io.SeekStart)
		}
		if err != nil {
			break // Read meets the same and says what to make of it
		}
		copied, err := io.CopyN(w, file, min(n-sent, end-r.off))
		r.off += copied
		sent += copied
		if err == io.EOF { // the file ends before what arrived does
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

func (r *flightReader) readFlight(p []byte) (int, error) {
	end, err := r.flight.readable(r.ctx, r.off)
	if err != nil {
		return 0, err
	}
	return r.tail.ReadAt(p[:min(int64(len(p)), end-r.off)], r.off)
}

// Err returns why reading failed, for a caller that cannot see the result of Read.
func (r *flightReader) Err() error { return r.err }

// Whole waits until the size is known, for a reader that was opened without one, and returns it.
func (r *flightReader) Whole() (size int64, err error) {
	if r.size < 0 {
		if size, err = r.flight.sized(r.ctx); err != nil {
			return 0, err
		}
		r.size = size
	}
	return r.size, nil
}

// Seek does not wait.
func (r *flightReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		if r.size < 0 {
			return r.off, errors.New("nobody knows yet where the blob ends")
		}
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a blob")
	}
	if offset != r.off && r.instead != nil {
		return r.off, errors.New("cannot go back in a blob that is not kept")
	}
	if offset != r.off {
		r.closeAhead()
	}
	r.off = offset
	return offset, nil
}

// Close lets go of the bytes, and of the flight: it goes on if a manifest announced the blob, or somebody else waits.
func (r *flightReader) Close() error {
	r.leave()
	r.closeAhead()
	if r.instead != nil {
		r.instead.Close()
	}
	return r.tail.Close()
}
