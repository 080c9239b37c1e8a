package registry

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// blob serves end-2 and end-10.
func (x *exchange) blob() error {
	d := x.req.Digest
	switch x.r.Method {
	case http.MethodDelete:
		if err := x.mirror.DeleteBlob(x.r.Context(), x.repo, d); err != nil {
			x.inUse = mirror.CodeOf(err) == mirror.CodeUnsupported
			return err
		}
		x.WriteHeader(http.StatusAccepted)
		return nil
	case http.MethodHead:
		return x.statBlob(d)
	}
	blob, err := x.mirror.Blob(x.r.Context(), x.repo, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	if x.notModified(d) {
		return nil
	}
	x.Header()["Content-Type"] = octetStream
	if blob.Size < 0 {
		if x.r.ProtoAtLeast(1, 1) {
			return x.stream(blob)
		}
		if err := waitForSize(blob); err != nil {
			return err
		}
	}
	if arriving, ok := blob.ReadSeekCloser.(interface{ Expect([]mirror.Span) }); ok {
		arriving.Expect(parseRanges(x.r.Header.Get("Range"), blob.Size))
	}
	http.ServeContent(&blobWriter{exchange: x}, x.r, "", time.Time{}, blob.ReadSeekCloser)
	if failing, ok := blob.ReadSeekCloser.(interface{ Err() error }); ok && failing.Err() != nil {
		return errAborted
	}
	return nil
}

// stream sends a blob of unknown size while it is being downloaded. The answer is chunked; ranges are not supported.
func (x *exchange) stream(blob mirror.Blob) error {
	flush := http.NewResponseController(x.ResponseWriter).Flush
	buf := make([]byte, 64<<10)
	for {
		n, err := blob.Read(buf)
		if n > 0 {
			if _, err := x.Write(buf[:n]); err != nil {
				return errAborted
			}
			if err := flush(); err != nil {
				return errAborted
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return errAborted
		}
	}
}

// waitForSize waits until the size of a blob is known. HTTP/1.0 clients, such as nginx by default before 1.30, have no
// chunked encoding and take a broken connection for the end of the blob.
func waitForSize(blob mirror.Blob) error {
	arriving, ok := blob.ReadSeekCloser.(interface{ Whole() (int64, error) })
	if !ok {
		return nil
	}
	_, err := arriving.Whole()
	return err
}

func (x *exchange) statBlob(d digest.Digest) error {
	size, err := x.mirror.StatBlob(x.r.Context(), x.repo, d)
	if err != nil {
		return err
	}
	if x.notModified(d) {
		return nil
	}
	h := x.Header()
	h["Content-Type"] = octetStream
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	x.WriteHeader(http.StatusOK)
	return nil
}
