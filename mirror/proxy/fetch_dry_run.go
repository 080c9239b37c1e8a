package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// probe is request for a dry run: it stores nothing.
func (i *imageFetch) probe(ctx context.Context, ref mirror.Ref, stored mirror.Manifest, missing error) (mirror.Manifest, error) {
	call, leave := i.calls.do(ctx, "probe "+ref.String(), func(net context.Context) (any, error) {
		at := ref
		if missing == nil {
			desc, err := i.upstream.Resolve(net, ref)
			if err != nil {
				return nil, err
			}
			if desc.Digest == stored.Digest {
				return stored, nil
			}
			at = mirror.Ref{Repo: ref.Repo, Digest: desc.Digest}
		}
		return i.upstream.Manifest(net, at)
	})
	defer leave()
	if err := call.wait(ctx); err != nil {
		return mirror.Manifest{}, err
	}
	if call.err != nil {
		return mirror.Manifest{}, call.err
	}
	return call.answer.(mirror.Manifest), nil
}

// probeBlob counts the bytes of a blob as new. If the size is negative, probeBlob asks the upstream for it, and whether the
// blob exists.
func (i *imageFetch) probeBlob(ctx context.Context, ref mirror.Ref, size int64) error {
	if size < 0 {
		var err error
		if size, err = i.downloads.statUpstream(ctx, ref.Repo, ref.Digest); err != nil {
			return mirror.MissError(mirror.CodeBlobUnknown, ref, err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got.New += max(0, size)
	return nil
}

// PeekBlob is FetchBlob for a dry run: it returns the size of the blob, and how much of it would be fetched.
func (f *fetcher) PeekBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (size, missing int64, err error) {
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if long, ok := f.routing.longName(ctx, repo); ok {
		repo = long
	}
	stat, err := f.store.StatBlob(ctx, repo, d)
	switch {
	case err != nil:
		return 0, 0, err
	case stat.Stored && stat.Linked:
		return stat.Size, 0, nil
	}
	err = f.routing.fetchable(ctx, repo)
	if err == nil {
		size, err = f.downloads.statUpstream(ctx, repo, d)
	}
	if err != nil {
		return 0, 0, mirror.MissError(mirror.CodeBlobUnknown, mirror.Ref{Repo: repo, Digest: d}, err)
	}
	return size, size, nil
}
