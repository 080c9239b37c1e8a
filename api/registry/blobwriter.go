package registry

import (
	"io"
	"net/http"

	"airmirror/mirror"
)

// blobWriter is the writer that http.ServeContent writes a blob to. It replaces the body of net/http's 416 answer
// with one in the form of the specification. It preserves the fast path from a file to a socket (sendfile).
type blobWriter struct {
	*exchange
	refused bool
}

func (w *blobWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.refused = true
		w.fail(mirror.Errorf(mirror.CodeRangeInvalid, "the range %q is outside the blob", w.r.Header.Get("Range")))
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// fileCopier is implemented by blobs that are still being downloaded. It gives access to the file behind them, which
// net/http cannot see.
type fileCopier interface {
	CopyTo(w io.Writer, n int64) (int64, error)
}

// ReadFrom implements [io.ReaderFrom]. ServeContent passes an [io.LimitedReader].
func (w *blobWriter) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(w.ResponseWriter, r)
	}
	blob, ok := limited.R.(fileCopier)
	if !ok {
		return io.Copy(w.ResponseWriter, r)
	}
	n, err := blob.CopyTo(w.ResponseWriter, limited.N)
	limited.N -= n
	return n, err
}
