package proxy

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// passthrough opens blob d at an offset, in a transfer for one client that is not stored. It is used while the store
// accepts nothing. The bytes are verified as they pass, and a reader of wrong ones fails before the end.
func (ds *downloads) passthrough(ctx context.Context, repo mirror.Repo, d digest.Digest, off int64) (mirror.Blob, error) {
	ds.writes.logNotStored("passing a blob through: it cannot be stored", ds.writes.allowed(), zap.Stringer("repo", repo), zap.Stringer("blob", d))
	net, end := ds.network.during(ctx)
	body, size, err := ds.upstream.Blob(net, repo, d)
	if err == nil && size < 0 {
		body.Close()
		err = mirror.Errorf(mirror.CodeUnavailable, "the upstream does not state the size of the blob, and it cannot be stored")
	}
	if err == nil && size == 0 && !d.Verifier().Verified() {
		body.Close()
		err = mirror.Errorf(mirror.CodeDigestInvalid, "the upstream says that the blob is empty")
	}
	if err != nil {
		end()
		return mirror.Blob{}, passthroughError(d, err)
	}
	r := &passthroughReader{body: body, end: end, verifier: d.Verifier(), size: size}
	if _, err := io.CopyN(io.Discard, r, off); err != nil {
		r.Close()
		return mirror.Blob{}, passthroughError(d, err)
	}
	return mirror.Blob{ReadSeekCloser: r, Size: size}, nil
}

func passthroughError(d digest.Digest, cause error) error {
	return &mirror.Error{Code: mirror.CodeBlobUnknown, Message: "blob " + d.String() + " can be neither stored nor passed on", Cause: cause}
}

// passthroughReader reads a transfer once, forwards.
type passthroughReader struct {
	body     io.ReadCloser
	end      func()
	verifier digest.Verifier
	size     int64
	read     int64 // bytes of the body
	off      int64 // offset of the client; after Seek it may be ahead of read
	err      error
}

// Read implements [io.Reader]. It returns the last byte only after all bytes were verified.
func (r *passthroughReader) Read(p []byte) (int, error) {
	if r.off > r.read { // the bytes before a range are read to verify them
		skip := r.off - r.read
		r.off = r.read
		if _, err := io.CopyN(io.Discard, r, skip); err != nil {
			return 0, err
		}
	}
	if r.read == r.size {
		return 0, io.EOF
	}
	limit := r.size - r.read
	if limit > 1 {
		limit-- // the last byte is read by itself
	}
	n, err := r.body.Read(p[:min(int64(len(p)), limit)])
	_, _ = r.verifier.Write(p[:n]) // a hash accepts every write
	r.read += int64(n)
	r.off = r.read
	switch {
	case r.read == r.size && n > 0 && !r.verifier.Verified():
		n, err = 0, mirror.Errorf(mirror.CodeDigestInvalid, "the upstream sent bytes that do not match the digest")
	case err == io.EOF && r.read < r.size:
		err = io.ErrUnexpectedEOF
	case err == io.EOF || n > 0:
		err = nil
	}
	r.err = err
	return n, err
}

// Err returns the error of the last Read.
func (r *passthroughReader) Err() error { return r.err }

// Seek sets the offset of the next Read. The offset cannot be before what was read.
func (r *passthroughReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.size
	}
	if offset < r.read && r.read > 0 {
		return r.off, errors.New("cannot go back in a blob that is not stored")
	}
	r.off = offset
	return offset, nil
}

// Close ends the transfer.
func (r *passthroughReader) Close() error {
	defer r.end()
	return r.body.Close()
}
