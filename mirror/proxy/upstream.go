package proxy

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// upstreamSwitch is the only path to the upstreams. It sends no request after the context of the request has ended, and
// returns the cause of that end. The context of the network ends when the mirror goes offline, so an operation of
// several requests stops before its next request. The upstream can be replaced; running requests finish with the old
// one.
type upstreamSwitch struct {
	current atomic.Pointer[mirror.Upstream]
}

func newUpstreamSwitch(upstream mirror.Upstream) *upstreamSwitch {
	s := new(upstreamSwitch)
	s.current.Store(&upstream)
	return s
}

func (s *upstreamSwitch) upstream() mirror.Upstream { return *s.current.Load() }

// request calls send unless ctx has ended.
func request[T any](ctx context.Context, send func() (T, error)) (answer T, err error) {
	if ctx.Err() == nil {
		if answer, err = send(); err == nil {
			return answer, nil
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer, err
}

func (s *upstreamSwitch) Resolve(ctx context.Context, ref mirror.Ref) (v1.Descriptor, error) {
	return request(ctx, func() (v1.Descriptor, error) { return s.upstream().Resolve(ctx, ref) })
}

func (s *upstreamSwitch) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	return request(ctx, func() (mirror.Manifest, error) { return s.upstream().Manifest(ctx, ref) })
}

func (s *upstreamSwitch) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	return request(ctx, func() (int64, error) { return s.upstream().StatBlob(ctx, repo, d) })
}

func (s *upstreamSwitch) Tags(ctx context.Context, repo mirror.Repo) ([]string, error) {
	return request(ctx, func() ([]string, error) { return s.upstream().Tags(ctx, repo) })
}

func (s *upstreamSwitch) Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error) {
	return request(ctx, func() ([]v1.Descriptor, error) { return s.upstream().Referrers(ctx, repo, subject) })
}

func (s *upstreamSwitch) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (body io.ReadCloser, size int64, err error) {
	body, err = request(ctx, func() (body io.ReadCloser, err error) {
		body, size, err = s.upstream().Blob(ctx, repo, d)
		return body, err
	})
	return body, size, err
}

func (s *upstreamSwitch) BlobPart(ctx context.Context, repo mirror.Repo, d digest.Digest, off, n int64) (body io.ReadCloser, size int64, err error) {
	body, err = request(ctx, func() (body io.ReadCloser, err error) {
		body, size, err = s.upstream().BlobPart(ctx, repo, d, off, n)
		return body, err
	})
	return body, size, err
}

func (s *upstreamSwitch) Status() []mirror.UpstreamStatus { return s.upstream().Status() }
