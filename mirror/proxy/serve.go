package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// smallBlob is how large a blob is at most that is verified before it is served: that takes some milliseconds, and a
	// client of one that is damaged gets the upstream's in its place.
	smallBlob = 8 << 20
	// maxUnattended is how many blobs are verified to their end at a time after their clients have left.
	maxUnattended = 2
)

// served returns blob as it may be served. A small one is verified first; a large one while it is read.
func (m *Proxy) served(ctx context.Context, repo mirror.Repo, d digest.Digest, blob mirror.Blob) (mirror.Blob, error) {
	switch {
	case blob.Verify == nil:
		return blob, nil
	case blob.Size > smallBlob:
		return mirror.Blob{ReadSeekCloser: &checkedReader{Blob: blob, m: m, ctx: ctx, repo: repo, digest: d}, Size: blob.Size}, nil
	}
	if err := blob.Verify(ctx); err != nil {
		blob.Close()
		return mirror.Blob{}, err
	}
	return blob, nil
}

// checking is the comparison of a blob with its digest while it is served to one client. Clients of the same blob have it
// read once, see [mirror.ImportStore].
type checking struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when err is set
	err    error
}

// check begins to compare a stored blob with its digest. One that is damaged is taken away before whoever waits is told:
// a client that asks again at once is not to get the same.
func (m *Proxy) check(repo mirror.Repo, blob mirror.Blob) *checking {
	ctx, cancel := context.WithCancel(m.ctx)
	c := &checking{cancel: cancel, done: make(chan struct{})}
	if c.err = m.begin(); c.err != nil {
		cancel()
		close(c.done)
		return c
	}
	go func() {
		defer m.work.Done()
		defer cancel()
		c.err = blob.Verify(ctx)
		found := m.heal(repo, c.err)
		close(c.done)
		if found != nil {
			m.replace(*found)
		}
	}()
	return c
}

// wait waits for the outcome.
func (c *checking) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unattend is for a check that nobody waits for any more. It goes on if few others do: the blob is asked for, and what is
// read of it in ranges is verified by nobody else.
func (m *Proxy) unattend(c *checking) {
	select {
	case <-c.done:
		return
	case m.unattended <- struct{}{}:
	default:
		c.cancel()
		return
	}
	go func() {
		defer func() { <-m.unattended }()
		select {
		case <-c.done:
		case <-m.closeBegan():
			c.cancel()
		}
	}()
}

// replace fetches again what was taken away because it was damaged, or wants it.
func (m *Proxy) replace(flaw mirror.Defect) {
	ctx, cancel := m.untilClose(m.ctx)
	defer cancel()
	fetched, wanted := m.regain(ctx, flaw)
	m.log.Info("what was damaged is replaced", zap.Stringer("digest", flaw.Digest), zap.Bool("fetched", fetched), zap.Bool("wanted", wanted))
}

// checkedReader reads a stored blob for a client while it is verified. The last byte is kept back until that is done, so
// that no client takes wrong bytes for the blob. Ranges that end before it are not waited for: they are verified after
// they were sent, and whoever asks for the last byte learns of it.
type checkedReader struct {
	mirror.Blob
	m      *Proxy
	ctx    context.Context
	repo   mirror.Repo
	digest digest.Digest
	check  *checking // nil before the first read
	off    int64
	err    error
}

// Read implements [io.Reader].
func (r *checkedReader) Read(p []byte) (int, error) {
	r.begin()
	free := r.Size - 1 - r.off
	if free < 0 {
		return 0, io.EOF
	}
	if free == 0 {
		if r.err = r.check.wait(r.ctx); r.err != nil {
			return 0, r.err
		}
		free = 1
	}
	n, err := r.ReadSeekCloser.Read(p[:min(int64(len(p)), free)])
	r.off += int64(n)
	if n == 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF // it has become shorter
	}
	if err == io.EOF {
		err = nil
	}
	r.err = err
	return n, err
}

// CopyTo writes up to n of the bytes that come next to w, which is given the file itself, so that a connection can have
// the kernel send it.
func (r *checkedReader) CopyTo(w io.Writer, n int64) (sent int64, err error) {
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
	if r.err = r.check.wait(r.ctx); r.err != nil {
		return sent, r.err
	}
	last, err := r.copy(w, n-sent)
	return sent + last, err
}

func (r *checkedReader) copy(w io.Writer, n int64) (int64, error) {
	sent, err := io.CopyN(w, r.ReadSeekCloser, n)
	r.off += sent
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
	return sent, err
}

func (r *checkedReader) begin() {
	if r.check == nil {
		r.check = r.m.check(r.repo, r.Blob)
	}
}

// Err returns why reading failed, for a caller that cannot see the result of Read.
func (r *checkedReader) Err() error { return r.err }

// Seek implements [io.Seeker].
func (r *checkedReader) Seek(offset int64, whence int) (int64, error) {
	off, err := r.ReadSeekCloser.Seek(offset, whence)
	if err == nil {
		r.off = off
	}
	return off, err
}

// Close implements [io.Closer].
func (r *checkedReader) Close() error {
	if r.check != nil {
		r.m.unattend(r.check)
	}
	return r.ReadSeekCloser.Close()
}
