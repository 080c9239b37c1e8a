package admin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// The package comment describes the format of frames.
const (
	frameHeader = 4
	frameType   = "application/vnd.airmirror.frames"
)

// frameWriter sends a stream in frames. It is not safe for concurrent use.
type frameWriter struct {
	w       http.ResponseWriter
	buf     []byte // the header and the content of the next frame
	started bool   // the answer has started
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

// ReadFrom implements [io.ReaderFrom]. It reads into the buffer of the frame.
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

// flush sends the buffer as a frame.
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

// end ends the stream: as complete, or with failure. It does nothing but return err if err is set: then the caller answers
// with err, as nothing was sent.
func (f *frameWriter) end(failure *errorResponse, err error) error {
	if err != nil {
		return err
	}
	if len(f.buf) > frameHeader {
		_ = f.flush() // the client may have disconnected
	}
	_ = f.flush()
	if failure != nil {
		_ = json.NewEncoder(f.w).Encode(failure)
	}
	return nil
}

// readFrames copies a stream in frames from r to w. It returns the error that the stream ended with, or an error if the
// stream did not end or w failed.
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

// unexpectedEOF returns err, or [io.ErrUnexpectedEOF] in place of an end of input.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readTrailer reads what follows the empty frame, and returns the error in it.
func readTrailer(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxError))
	if err != nil || len(text) == 0 {
		return err
	}
	if refused := decodeError(text); refused != nil {
		return refused
	}
	return errors.New("unexpected data after the last frame")
}

// writeError is an error of the writer that a stream is copied to.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }
