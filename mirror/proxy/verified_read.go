package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	// smallBlob is the maximum size of a blob that is verified before it is served. That takes some milliseconds, and
	// if the blob is damaged, the client gets the upstream's copy instead.
	smallBlob = 8 << 20
	// maxDetached is the maximum number of verifications that continue after their clients have left.
	maxDetached = 2
)

// verified returns a reader that serves a stored blob to one client. A small blob is verified before it is served, a
// large one while it is read.
func (c *content) verified(ctx context.Context, repo mirror.Repo, d digest.Digest, blob mirror.Blob) (mirror.Blob, error) {
	switch {
	case blob.Verify == nil:
		return blob, nil
	case blob.Size > smallBlob:
		return mirror.Blob{ReadSeekCloser: &verifyingReader{Blob: blob, content: c, ctx: ctx, repo: repo, digest: d}, Size: blob.Size}, nil
	}
	if err := blob.Verify(ctx); err != nil {
		blob.Close()
		return mirror.Blob{}, err
	}
	return blob, nil
}

// verification compares a blob with its digest while it is served to one client. The store reads the blob once for all
// clients, see [mirror.ImportStore].
type verification struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when err is set
	err    error
}

// startVerification starts a verification. A damaged blob is discarded before the waiting client gets the error, so
// that an immediate retry does not get the same blob.
func (c *content) startVerification(repo mirror.Repo, blob mirror.Blob) *verification {
	ctx, cancel := context.WithCancel(c.tasks.ctx)
	v := &verification{cancel: cancel, done: make(chan struct{})}
	if v.err = c.tasks.begin(); v.err != nil {
		cancel()
		close(v.done)
		return v
	}
	go func() {
		defer c.tasks.done()
		defer cancel()
		v.err = blob.Verify(ctx)
		defect := c.discard(repo, v.err)
		close(v.done)
		if defect != nil {
			c.replace(*defect)
		}
	}()
	return v
}

// wait waits for the result.
func (v *verification) wait(ctx context.Context) error {
	select {
	case <-v.done:
		return v.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// detach lets a verification continue after its client has left, unless maxDetached others do so already. A client
// that reads ranges may never reach the end of a blob, and no other check covers the bytes that it has read.
func (c *content) detach(v *verification) {
	select {
	case <-v.done:
		return
	case c.detached <- struct{}{}:
	default:
		v.cancel()
		return
	}
	go func() {
		defer func() { <-c.detached }()
		select {
		case <-v.done:
		case <-c.tasks.closing:
			v.cancel()
		}
	}()
}

// verifyingReader reads a stored blob for a client while the blob is verified. It holds back the last byte until the
// verification has ended, so that no client takes wrong bytes for the blob. Ranges that end before the last byte do not
// wait: they are verified after they were sent, and a read of the last byte returns the error.
type verifyingReader struct {
	mirror.Blob
	content      *content
	ctx          context.Context
	repo         mirror.Repo
	digest       digest.Digest
	verification *verification // nil before the first read
	off          int64
	err          error
}

// Read implements [io.Reader].
func (r *verifyingReader) Read(p []byte) (int, error) {
	r.begin()
	free := r.Size - 1 - r.off
	if free < 0 {
		return 0, io.EOF
	}
	if free == 0 {
		if r.err = r.verification.wait(r.ctx); r.err != nil {
			return 0, r.err
		}
		free = 1
	}
	n, err := r.ReadSeekCloser.Read(p[:min(int64(len(p)), free)])
	r.off += int64(n)
	if n == 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF // the file has become shorter
	}
	if err == io.EOF {
		err = nil
	}
	r.err = err
	return n, err
}

// CopyTo writes up to n of the next bytes to w. It copies from the file itself, so that the kernel can send it to a
// connection.
func (r *verifyingReader) CopyTo(w io.Writer, n int64) (sent int64, err error) {
	r.begin()
	n = min(n, r.Size-r.off)
	if free := min(n, r.Size-1-r.off); free > 0 {
		if sent, err = r.copy(w, free); err != nil {
			return sent, err
		}
	}
	if sent == n {
		return sent, nil
	}
	if r.err = r.verification.wait(r.ctx); r.err != nil {
		return sent, r.err
	}
	last, err := r.copy(w, n-sent)
	return sent + last, err
}

func (r *verifyingReader) copy(w io.Writer, n int64) (int64, error) {
	sent, err := io.CopyN(w, r.ReadSeekCloser, n)
	r.off += sent
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
	return sent, err
}

func (r *verifyingReader) begin() {
	if r.verification == nil {
		r.verification = r.content.startVerification(r.repo, r.Blob)
	}
}

// Err returns the error of the last Read, for a caller that does not see it.
func (r *verifyingReader) Err() error { return r.err }

// Seek implements [io.Seeker].
func (r *verifyingReader) Seek(offset int64, whence int) (int64, error) {
	off, err := r.ReadSeekCloser.Seek(offset, whence)
	if err == nil {
		r.off = off
	}
	return off, err
}

// Close implements [io.Closer].
func (r *verifyingReader) Close() error {
	if r.verification != nil {
		r.content.detach(r.verification)
	}
	return r.ReadSeekCloser.Close()
}
