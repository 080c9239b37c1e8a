package registry

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// startUpload serves end-4 and end-11: it mounts a blob, stores a blob from a single request, or starts an upload.
func (x *exchange) startUpload() error {
	if ctx, ok := x.mayMountFrom(); ok {
		switch err := x.mirror.Mount(ctx, x.repo, x.mountFrom, x.req.Mount); {
		case err == nil:
			x.outcome.Digest, x.outcome.Mounted = x.req.Mount, true
			return x.writeCreated(x.req.Mount)
		case mirror.CodeOf(err) != mirror.CodeBlobUnknown:
			return err
		}
	}
	algorithm := x.req.Algorithm
	if algorithm == "" {
		algorithm = digest.Canonical
	}
	if x.req.Digest == "" {
		return x.beginUpload(algorithm)
	}
	up, err := x.mirror.StartUpload(x.r.Context(), x.repo, algorithm)
	if err != nil {
		return err
	}
	defer up.Close()
	if err := x.commitUpload(up); err != nil {
		up.Cancel()
		return err
	}
	return nil
}

// beginUpload starts an upload that later requests continue.
func (x *exchange) beginUpload(algorithm digest.Algorithm) error {
	begun, err := x.openUploads.start(x.r)
	if err != nil {
		return err
	}
	up, err := x.mirror.StartUpload(x.r.Context(), x.repo, algorithm)
	if err != nil {
		begun("")
		return err
	}
	begun(up.ID())
	defer up.Close()
	return x.writeUploadStatus(up, http.StatusAccepted)
}

// upload serves end-5, end-6, end-13 and end-14 for an upload in progress.
func (x *exchange) upload() error {
	up, err := x.mirror.Upload(x.r.Context(), x.repo, x.req.UploadID)
	if err != nil {
		return err
	}
	defer up.Close()
	switch x.r.Method {
	case http.MethodPatch:
		if err := x.appendBody(up); err != nil {
			return err
		}
		return x.writeUploadStatus(up, http.StatusAccepted)
	case http.MethodPut:
		return x.commitUpload(up)
	case http.MethodDelete:
		x.openUploads.End(up.ID())
		if err := up.Cancel(); err != nil {
			return err
		}
		x.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return x.writeUploadStatus(up, http.StatusNoContent)
	}
}

// commitUpload appends the body of the request, if any, and commits the upload.
func (x *exchange) commitUpload(up mirror.Upload) error {
	if x.r.ContentLength != 0 {
		if err := x.appendBody(up); err != nil {
			return err
		}
	}
	x.outcome.Size = up.Size()
	x.openUploads.End(up.ID()) // even if the commit fails
	if err := up.Commit(x.r.Context(), x.req.Digest); err != nil {
		return err
	}
	return x.writeCreated(x.req.Digest)
}

// appendBody appends the body of the request to the upload. A chunk with a Content-Range must begin at the current size
// of the upload. A body without Content-Range is appended at the end.
func (x *exchange) appendBody(up mirror.Upload) error {
	length := x.r.ContentLength
	if header := x.r.Header.Get("Content-Range"); header != "" {
		first, last, err := parseContentRange(header)
		if err != nil {
			return err
		}
		if first != up.Size() {
			x.setUploadHeaders(up)
			return mirror.Errorf(mirror.CodeRangeInvalid, "the upload has %d bytes, but the chunk begins at %d", up.Size(), first)
		}
		if length >= 0 && length != last-first+1 {
			return mirror.Errorf(mirror.CodeSizeInvalid, "the chunk has %d bytes, but its range %s has %d", length, header, last-first+1)
		}
		if length < 0 {
			return x.appendChunk(up, last-first+1, header)
		}
	}
	n, err := up.Append(&bodyReader{x.r.Body})
	if err != nil {
		return err
	}
	if length >= 0 && n != length {
		return mirror.Errorf(mirror.CodeSizeInvalid, "received %d bytes, but Content-Length is %d", n, length)
	}
	return nil
}

// appendChunk appends a chunk of unknown length (without Content-Length) whose Content-Range gives the length. If more
// bytes arrive than that, the request fails. The bytes of the range stay in the upload; the client learns from its
// status where to continue.
func (x *exchange) appendChunk(up mirror.Upload, length int64, header string) error {
	body := &bodyReader{x.r.Body}
	n, err := up.Append(io.LimitReader(body, length))
	if err != nil {
		return err
	}
	if n < length {
		return mirror.Errorf(mirror.CodeSizeInvalid, "received %d bytes, but the range %s has %d", n, header, length)
	}
	if _, err := io.ReadFull(body, make([]byte, 1)); err == nil {
		x.setUploadHeaders(up)
		return mirror.Errorf(mirror.CodeSizeInvalid, "received more than the %d bytes of the range %s", length, header)
	} else if err != io.EOF {
		return err
	}
	return nil
}

// bodyReader marks read errors as errors of the client, to tell them from errors of the store.
type bodyReader struct{ io.Reader }

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = mirror.Errorf(mirror.CodeBlobUploadInvalid, "the upload was interrupted and can be continued: %w", err)
	}
	return n, err
}

// parseContentRange parses a range as the specification writes it (0-99) or as RFC 9110 does (bytes 0-99/*).
func parseContentRange(header string) (first, last int64, err error) {
	s := strings.TrimSpace(strings.TrimPrefix(header, "bytes"))
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "="), "/")
	from, to, _ := strings.Cut(s, "-")
	first, ok := parseOffset(from)
	last, whole := parseOffset(to)
	if !ok || !whole || last < first {
		return 0, 0, mirror.Errorf(mirror.CodeRangeInvalid, "Content-Range %s is not a range like 0-99", strconv.Quote(header))
	}
	return first, last, nil
}

// parseOffset parses a string of decimal digits. The limit on digits keeps the value plus one within int64.
func parseOffset(s string) (n int64, ok bool) {
	const most = 18 // digits
	if s == "" || len(s) > most || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// setUploadHeaders sets the headers with the location and the size of the upload.
func (x *exchange) setUploadHeaders(up mirror.Upload) {
	h := x.Header()
	h.Set("Location", x.location("blobs", "uploads", up.ID()))
	h.Set("Range", "0-"+strconv.FormatInt(max(up.Size()-1, 0), 10))
	h.Set("Docker-Upload-UUID", up.ID())
}

func (x *exchange) writeUploadStatus(up mirror.Upload, status int) error {
	x.setUploadHeaders(up)
	x.Header().Set("Content-Length", "0")
	x.WriteHeader(status)
	return nil
}

// writeCreated answers that a blob was stored.
func (x *exchange) writeCreated(d digest.Digest) error {
	h := x.Header()
	h.Set("Location", x.location("blobs", d.String()))
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Content-Length", "0")
	x.WriteHeader(http.StatusCreated)
	return nil
}
