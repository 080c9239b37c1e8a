package proxy

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// gate is the only way to the upstream. Nothing passes it with a context that has ended, as that of the network does when
// the mirror goes offline: work of several steps is stopped between any two of them. An error from beyond the gate that
// is owed to that says so. What is beyond it can be replaced: what began to be asked of the one before is asked there to
// its end.
type gate struct {
	beyond atomic.Pointer[mirror.Upstream]
}

func newGate(upstream mirror.Upstream) *gate {
	g := new(gate)
	g.beyond.Store(&upstream)
	return g
}

func (g *gate) upstream() mirror.Upstream { return *g.beyond.Load() }

// pass asks through the gate.
func pass[T any](ctx context.Context, ask func() (T, error)) (answer T, err error) {
	if ctx.Err() == nil {
		if answer, err = ask(); err == nil {
			return answer, nil
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer, err
}

func (g *gate) Resolve(ctx context.Context, ref mirror.Ref) (v1.Descriptor, error) {
	return pass(ctx, func() (v1.Descriptor, error) { return g.upstream().Resolve(ctx, ref) })
}

func (g *gate) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	return pass(ctx, func() (mirror.Manifest, error) { return g.upstream().Manifest(ctx, ref) })
}

func (g *gate) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	return pass(ctx, func() (int64, error) { return g.upstream().StatBlob(ctx, repo, d) })
}

func (g *gate) Tags(ctx context.Context, repo mirror.Repo) ([]string, error) {
	return pass(ctx, func() ([]string, error) { return g.upstream().Tags(ctx, repo) })
}

func (g *gate) Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	return pass(ctx, func() ([]v1.Descriptor, error) { return g.upstream().Referrers(ctx, repo, subject) })
}

func (g *gate) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (body io.ReadCloser, size int64, err error) {
	body, err = pass(ctx, func() (body io.ReadCloser, err error) {
		body, size, err = g.upstream().Blob(ctx, repo, d)
		return body, err
	})
	return body, size, err
}

func (g *gate) BlobPart(ctx context.Context, repo mirror.Repo, d digest.Digest, off, n int64) (body io.ReadCloser, size int64, err error) {
	body, err = pass(ctx, func() (body io.ReadCloser, err error) {
		body, size, err = g.upstream().BlobPart(ctx, repo, d, off, n)
		return body, err
	})
	return body, size, err
}

func (g *gate) Status() []mirror.UpstreamStatus { return g.upstream().Status() }
