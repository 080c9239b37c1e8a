package cache

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Receive implements [mirror.BlobStore].
func (s *Store) Receive(ctx context.Context, d digest.Digest) (mirror.Incoming, error) {
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return nil, err
	}
	w, err := s.blobs.Create(ctx, d.Algorithm(), "")
	if err != nil {
		return nil, explain(err, "begin to receive blob %s", d)
	}
	return &incoming{Writer: w, store: s, digest: d}, nil
}

// incoming implements [mirror.Incoming].
type incoming struct {
	Writer
	store  *Store
	digest digest.Digest
}

func (i *incoming) Digest() digest.Digest { return i.digest }

func (i *incoming) Verify() error { return i.Writer.Verify(i.digest) }

func (i *incoming) Commit(ctx context.Context, repo mirror.Repo) error {
	return i.store.take(ctx, repo, i.Writer, i.digest)
}

// take makes what w wrote durable as d, and then readable in repo.
func (s *Store) take(ctx context.Context, repo mirror.Repo, w Writer, d digest.Digest) error {
	defer s.guards.hold(d)()
	size := w.Size()
	if err := w.Commit(ctx, d); err != nil {
		return explain(err, "commit blob %s", d)
	}
	// From here on it costs one transaction, which a client that hangs up now must not save us: the bytes are in.
	err := s.index.Update(context.WithoutCancel(ctx), func(tx WriteTx) error {
		at := now()
		if err := hold(tx, d, size, at); err != nil {
			return err
		}
		return link(tx, repo, d, at)
	})
	return explain(err, "link blob %s to %s", d, repo)
}
