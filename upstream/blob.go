package upstream

import (
	"context"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// StatBlob implements [mirror.Upstream]. Where the answer to HEAD is not clear, or
// does not tell the size, a transfer is begun that does.
func (c *Client) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String()}
	a, err := c.do(ctx, http.MethodHead, t)
	if err != nil && !headInconclusive(err) {
		return 0, err
	}
	if err == nil {
		a.close()
		if a.ContentLength >= 0 && !isCompressed(a.Response) {
			return a.ContentLength, nil
		}
	}
	body, size, err := c.Blob(ctx, repo, d)
	if err != nil {
		return 0, err
	}
	_ = body.Close()
	if size < 0 {
		return 0, t.invalid("no size")
	}
	return size, nil
}

// begin asks for a blob, or a part of it, when it is its turn. Call release once the answer is closed.
func (c *Client) begin(ctx context.Context, t target) (r *registry, a *response, release func(), err error) {
	if r, err = c.registry(t.repo); err != nil {
		return nil, nil, nil, err
	}
	if release, err = r.slot(ctx); err != nil {
		return nil, nil, nil, t.failed(err)
	}
	if a, err = r.do(ctx, http.MethodGet, t); err != nil {
		release()
		return nil, nil, nil, err
	}
	return r, a, release, nil
}

// Blob implements [mirror.Upstream]. A transfer waits in line for as long as ctx allows if [Config.Parallel] of them are
// under way; its timeout begins when it is its turn. Once it has begun, only ctx limits how long it takes, and how long
// it may go without progress.
func (c *Client) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (io.ReadCloser, int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String()}
	r, a, release, err := c.begin(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	if !a.watchdog.stop() {
		a.close()
		release()
		return nil, 0, t.failed(a.watchdog.cause(nil))
	}
	if isCompressed(a.Response) {
		return newDecompressor(newTransfer(ctx, r, a, release)), -1, nil
	}
	return newTransfer(ctx, r, a, release), a.ContentLength, nil
}
