package proxy

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// storeFault is a failure of this mirror to keep what it receives: a full disk, for one. It is no reason not to give a
// client its bytes.
type storeFault struct{ error }

func (e *storeFault) Unwrap() error { return e.error }

func isStoreFault(err error) bool {
	var fault *storeFault
	return errors.As(err, &fault)
}

// straight opens blob d at an offset past the store, in a transfer of the client's own: what happens while the store can
// take nothing in. It is verified as it passes, and does not end cleanly if it is wrong.
func (m *Proxy) straight(ctx context.Context, repo mirror.Repo, d digest.Digest, off int64) (mirror.Blob, error) {
	m.logUnkept("passing a blob straight through: it cannot be kept", m.mayChange(), zap.Stringer("repo", repo), zap.Stringer("blob", d))
	net, end := m.network.until(ctx)
	body, size, err := m.upstream.Blob(net, repo, d)
	if err == nil && size < 0 {
		body.Close()
		err = mirror.Errorf(mirror.CodeUnavailable, "the upstream does not say how large the blob is, and it cannot be kept")
	}
	if err == nil && size == 0 && !d.Verifier().Verified() {
		body.Close()
		err = mirror.Errorf(mirror.CodeDigestInvalid, "the upstream says that the blob is empty")
	}
	if err != nil {
		end()
		return mirror.Blob{}, missedStraight(d, err)
	}
	r := &straightReader{body: body, end: end, verifier: d.Verifier(), size: size}
	if _, err := io.CopyN(io.Discard, r, off); err != nil {
		r.Close()
		return mirror.Blob{}, missedStraight(d, err)
	}
	return mirror.Blob{ReadSeekCloser: r, Size: size}, nil
}

func missedStraight(d digest.Digest, why error) error {
	return &mirror.Error{Code: mirror.CodeBlobUnknown, Message: "blob " + d.String() + " can be neither kept nor passed on", Cause: why}
}

// straightReader reads a transfer once, forwards.
type straightReader struct {
	body     io.ReadCloser
	end      func()
	verifier digest.Verifier
	size     int64
	read     int64 // of the body
	off      int64 // what the client stands at: it may be ahead of what was read, after Seek
	err      error
}

// Read yields the last byte only after all of them were verified.
func (r *straightReader) Read(p []byte) (int, error) {
	if r.off > r.read { // a range: what comes before it is read to be verified
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
		limit-- // the last byte is read alone
	}
	n, err := r.body.Read(p[:min(int64(len(p)), limit)])
	r.verifier.Write(p[:n])
	r.read += int64(n)
	r.off = r.read
	switch {
	case r.read == r.size && n > 0 && !r.verifier.Verified():
		n, err = 0, mirror.Errorf(mirror.CodeDigestInvalid, "the upstream sent other bytes than the blob's")
	case err == io.EOF && r.read < r.size:
		err = io.ErrUnexpectedEOF
	case err == io.EOF || n > 0:
		err = nil
	}
	r.err = err
	return n, err
}

// Err returns why reading failed.
func (r *straightReader) Err() error { return r.err }

// Seek only says where the next Read is to be; that cannot be before what was read.
func (r *straightReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.size
	}
	if offset < r.read && r.read > 0 {
		return r.off, errors.New("cannot go back in a blob that is not kept")
	}
	r.off = offset
	return offset, nil
}

// Close ends the transfer.
func (r *straightReader) Close() error {
	defer r.end()
	return r.body.Close()
}
