package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// FindDigest is [mirror.FindDigest] for what this mirror stores.
func (m *Proxy) FindDigest(ctx context.Context, repo mirror.Repo, text string) (digest.Digest, error) {
	return mirror.FindDigest(ctx, m.store, repo, text)
}
