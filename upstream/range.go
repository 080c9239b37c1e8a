package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// BlobPart implements [mirror.Upstream]. It is one request, which counts as a transfer for [Config.Parallel], and is not
// taken up again.
func (c *Client) BlobPart(ctx context.Context, repo mirror.Repo, d digest.Digest, off, n int64) (io.ReadCloser, int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String(), from: off, to: off + n}
	r, a, release, err := c.begin(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	size, err := a.checkPart(n)
	if err != nil {
		a.close()
		release()
		return nil, 0, err
	}
	return &partBody{response: a, stall: newStallReader(a, r.opts.StallTimeout), left: n, release: release}, size, nil
}

// part makes sure that the answer is exactly the n bytes that were asked for, and returns the size of all of the blob; -1
// if it does not say that.
func (a *response) checkPart(n int64) (size int64, err error) {
	t := a.target
	size = -1
	said := a.Header.Get("Content-Range")
	total, ok := strings.CutPrefix(said, fmt.Sprintf("bytes %d-%d/", t.from, t.to-1))
	if ok && total != "*" {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	switch {
	case !a.watchdog.stop():
		return 0, t.failed(a.watchdog.cause(nil))
	case a.StatusCode != http.StatusPartialContent:
		return 0, t.invalid("no part of it, but %s", a.Status)
	case !ok || err != nil || a.ContentLength >= 0 && a.ContentLength != n || isCompressed(a.Response):
		return 0, t.invalid("a part that was not asked for: its Content-Range is %q", sanitize(said))
	}
	return size, nil
}

// partBody reads a part of a blob.
type partBody struct {
	response *response
	stall    *stallReader
	left     int64
	release  func() // nil once it is closed
}

// Read reads up to the end of the part.
func (b *partBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.stall.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return 0, b.response.target.interrupted(b.response.watchdog.cause(err))
}

// Close ends the request.
func (b *partBody) Close() error {
	if b.release != nil {
		b.response.close()
		b.release()
		b.release = nil
	}
	return nil
}
