package objects

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
)

// RedirectMode says which reads are answered by a redirect to the bucket.
type RedirectMode string

// The modes. Auto redirects to blobs that this node does not have in its cache.
const (
	RedirectNever  RedirectMode = "never"
	RedirectAuto   RedirectMode = "auto"
	RedirectAlways RedirectMode = "always"
)

// Redirects says when a client reads a blob from the bucket itself. Nobody on this side verifies the content then; clients
// compare it with its digest, and [Objects.Check] reads it. The zero value redirects nothing.
type Redirects struct {
	Mode    RedirectMode
	MinSize int64         // smaller blobs are served by the node
	Expires time.Duration // how long a URL is valid; 20 minutes by default
}

// defaultExpires is [Redirects.Expires] by default.
const defaultExpires = 20 * time.Minute

// Redirect returns a URL by which a client can read blob d, or "" if the node should serve the blob. It is for GET only: the
// store refuses another method.
func (o *Objects) Redirect(ctx context.Context, d digest.Digest) (string, error) {
	if o.options.Redirects.Mode == RedirectNever || o.options.Redirects.Mode == "" {
		return "", nil
	}
	row, err := o.object(ctx, d)
	if err != nil {
		return "", explain(err, "redirect to", d)
	}
	if row.Key == "" || row.Size < o.options.Redirects.MinSize || o.options.Redirects.Mode == RedirectAuto && o.cache.has(row.Key) {
		return "", nil
	}
	expires := o.options.Redirects.Expires
	if expires == 0 {
		expires = defaultExpires
	}
	parameters := url.Values{"response-content-type": {"application/octet-stream"}}
	u, err := o.bucket.Presign(ctx, row.Key, expires, parameters)
	if err != nil {
		return "", fmt.Errorf("redirect to blob %s: %w", d, err)
	}
	return u.String(), nil
}
