package upstream

import (
	"context"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// StatBlob implements [mirror.Upstream]. If the response to HEAD is inconclusive or has no size, it begins a transfer to
// learn the size.
func (c *Client) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String()}
	resp, err := c.do(ctx, http.MethodHead, t)
	if err != nil && !headInconclusive(err) {
		return 0, err
	}
	if err == nil {
		resp.close()
		if resp.ContentLength >= 0 && !isCompressed(resp.Response) {
			return resp.ContentLength, nil
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

// begin waits for a slot and requests a blob or a part of it. The caller calls release after closing the response.
func (c *Client) begin(ctx context.Context, t target) (r *registry, resp *response, release func(), err error) {
	if r, err = c.registry(t.repo); err != nil {
		return nil, nil, nil, err
	}
	if release, err = r.acquireSlot(ctx); err != nil {
		return nil, nil, nil, t.failed(err)
	}
	if resp, err = r.do(ctx, http.MethodGet, t); err != nil {
		release()
		return nil, nil, nil, err
	}
	return r, resp, release, nil
}

// Blob implements [mirror.Upstream]. While [Config.Parallel] transfers are running, it waits for as long as ctx allows; its
// timeout begins after that. Once a transfer has begun, only ctx limits its duration and [Options.RetryFor] the time without
// progress.
func (c *Client) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (io.ReadCloser, int64, error) {
	t := target{kind: blobKind, repo: repo, id: d.String()}
	r, resp, release, err := c.begin(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	if !resp.watchdog.stop() {
		resp.close()
		release()
		return nil, 0, t.failed(resp.watchdog.cause(nil))
	}
	if isCompressed(resp.Response) {
		return newDecompressor(newTransfer(ctx, r, resp, release)), -1, nil
	}
	return newTransfer(ctx, r, resp, release), resp.ContentLength, nil
}
