package admin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A stream of bytes is sent in frames: the length of what follows, in four bytes with the highest first, and so many
// bytes. An empty frame is the end of the stream; if an error follows it, in the form of all errors, the stream is not
// whole. Nor is it if there is no empty frame.
const (
	frameHeader = 4
	frameType   = "application/vnd.airmirror.frames"
)

// frames writes a stream in frames. It is for one goroutine.
type frameWriter struct {
	w       http.ResponseWriter
	buf     []byte // a header and what was written since the last frame
	started bool   // something was sent
}

func newFrameWriter(w http.ResponseWriter) *frameWriter {
	return &frameWriter{w: w, buf: make([]byte, frameHeader, frameHeader+bufferSize)}
}

// Write implements [io.Writer].
func (f *frameWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := copy(f.buf[len(f.buf):cap(f.buf)], p)
		f.buf, p, written = f.buf[:len(f.buf)+n], p[n:], written+n
		if err := f.flushFull(); err != nil {
			return written, err
		}
	}
	return written, nil
}

// ReadFrom implements [io.ReaderFrom], without a buffer between.
func (f *frameWriter) ReadFrom(r io.Reader) (read int64, err error) {
	for {
		n, err := r.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf, read = f.buf[:len(f.buf)+n], read+int64(n)
		if failed := f.flushFull(); failed != nil {
			return read, failed
		}
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

func (f *frameWriter) flushFull() error {
	if len(f.buf) < cap(f.buf) {
		return nil
	}
	return f.flush()
}

// flush sends what is in the buffer as a frame.
func (f *frameWriter) flush() error {
	f.start()
	binary.BigEndian.PutUint32(f.buf, uint32(len(f.buf)-frameHeader))
	_, err := f.w.Write(f.buf)
	f.buf = f.buf[:frameHeader]
	return err
}

func (f *frameWriter) start() {
	if !f.started {
		f.started = true
		f.w.Header().Set("Content-Type", frameType)
	}
}

// end ends the stream: whole, with failure, or with err if none of it was sent, for the caller to answer with.
func (f *frameWriter) end(failure *errorResponse, err error) error {
	if err != nil {
		return err
	}
	if len(f.buf) > frameHeader {
		_ = f.flush() // a client that is gone needs no error
	}
	_ = f.flush()
	if failure != nil {
		_ = json.NewEncoder(f.w).Encode(failure)
	}
	return nil
}

// readFrames copies a stream that comes in frames to w. The error is the one that the stream ended with, or why it did
// not end.
func readFrames(r io.Reader, w io.Writer) (written int64, err error) {
	var header [frameHeader]byte
	buf := make([]byte, bufferSize)
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return written, unexpectedEOF(err)
		}
		left := int64(binary.BigEndian.Uint32(header[:]))
		if left == 0 {
			return written, readTrailer(r)
		}
		for left > 0 {
			n, err := r.Read(buf[:min(left, bufferSize)])
			left -= int64(n)
			m, failed := w.Write(buf[:n])
			written += int64(m)
			if failed != nil {
				return written, &writeError{failed}
			}
			if err != nil && left > 0 {
				return written, unexpectedEOF(err)
			}
		}
	}
}

// unexpectedEOF is err, of reading what does not end there.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readTrailer reads what comes after a stream: nothing, or an error.
func readTrailer(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxError))
	if err != nil || len(text) == 0 {
		return err
	}
	if refused := decodeError(text); refused != nil {
		return refused
	}
	return fmt.Errorf("there is something after its end")
}

// writeError is an error of whom a stream was copied to, not of the stream.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }
