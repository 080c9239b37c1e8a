package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// BlobPart implements [mirror.Upstream]. It sends one request, which counts as a transfer for [Config.Parallel] and is not
// resumed.
func (c *Client) BlobPart(ctx context.Context, repo mirror.Repo, d digest.Digest, off, n int64) (io.ReadCloser, int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String(), from: off, to: off + n}
	r, resp, release, err := c.begin(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	size, err := resp.checkPart(n)
	if err != nil {
		resp.close()
		release()
		return nil, 0, err
	}
	return &partBody{response: resp, stall: newStallReader(resp, r.opts.StallTimeout), left: n, release: release}, size, nil
}

// checkPart makes sure that the response has exactly the n requested bytes. It returns the size of the whole blob, or -1 if
// the response does not say it.
func (r *response) checkPart(n int64) (size int64, err error) {
	t := r.target
	size = -1
	contentRange := r.Header.Get("Content-Range")
	total, ok := strings.CutPrefix(contentRange, fmt.Sprintf("bytes %d-%d/", t.from, t.to-1))
	if ok && total != "*" {
		size, err = strconv.ParseInt(total, 10, 64)
	}
	switch {
	case !r.watchdog.stop():
		return 0, t.failed(r.watchdog.cause(nil))
	case r.StatusCode != http.StatusPartialContent:
		return 0, t.invalid("%s instead of the requested range", r.Status)
	case !ok || err != nil || r.ContentLength >= 0 && r.ContentLength != n || isCompressed(r.Response):
		return 0, t.invalid("a range that was not requested: its Content-Range is %q", sanitize(contentRange))
	}
	return size, nil
}

// parseContentRange parses "bytes first-last/total". total is -1 if it is unknown.
func parseContentRange(s string) (first, total int64, err error) {
	bounds, size, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	begin, end, ok2 := strings.Cut(bounds, "-")
	first, err1 := strconv.ParseInt(begin, 10, 64)
	last, err2 := strconv.ParseInt(end, 10, 64)
	total = -1
	var err3 error
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	if !ok || !ok2 || !strings.HasPrefix(s, "bytes ") || errors.Join(err1, err2, err3) != nil || first > last || first < 0 {
		return 0, 0, fmt.Errorf("its Content-Range is %q", sanitize(s))
	}
	return first, total, nil
}

// partBody reads a part of a blob.
type partBody struct {
	response *response
	stall    *stallReader
	left     int64
	release  func() // nil after Close
}

// Read implements [io.Reader]. It returns [io.EOF] at the end of the part.
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
