package registry

import (
	"io"
	"net/http"

	"airmirror/mirror"
)

// contentWriter is what net/http's ServeContent writes a blob to. It gives an unsatisfiable range the error body of the
// specification in place of net/http's, and keeps the way open from a file to the socket that does not pass through this
// process.
type contentWriter struct {
	*exchange
	refused bool
}

func (w *contentWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.refused = true
		w.fail(mirror.Errorf(mirror.CodeRangeInvalid, "the blob has no bytes in range %q", w.r.Header.Get("Range")))
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// copier is a blob that is still arriving: net/http would not know that there is a file in it.
type fileCopier interface {
	CopyTo(w io.Writer, n int64) (int64, error)
}

// ReadFrom takes r apart as net/http does: ServeContent limits what it copies.
func (w *contentWriter) ReadFrom(r io.Reader) (int64, error) {
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
