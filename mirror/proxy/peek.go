package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// peek is [fetch.ask] for a dry run: what the upstream answers is not stored.
func (f *fetch) peek(ctx context.Context, ref mirror.Ref, held mirror.Manifest, missing error) (mirror.Manifest, error) {
	question, leave := f.m.lookup(ctx, "peek at "+ref.String(), func(net context.Context) (any, error) {
		at := ref
		if missing == nil {
			desc, err := f.m.upstream.Resolve(net, ref)
			if err != nil {
				return nil, err
			}
			if desc.Digest == held.Digest {
				return held, nil
			}
			at = mirror.Ref{Repo: ref.Repo, Digest: desc.Digest}
		}
		return f.m.upstream.Manifest(net, at)
	})
	defer leave()
	select {
	case <-question.done:
		if question.err != nil {
			return mirror.Manifest{}, question.err
		}
		return question.answer.(mirror.Manifest), nil
	case <-ctx.Done():
		return mirror.Manifest{}, ctx.Err()
	}
}

// PeekBlob is [Proxy.FetchBlob] for a dry run: it says how large a blob is, and how much of it would be fetched.
func (m *Proxy) PeekBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (size, missing int64, err error) {
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	stat, err := m.store.StatBlob(ctx, repo, d)
	switch {
	case err != nil:
		return 0, 0, err
	case stat.Stored && stat.Linked:
		return stat.Size, 0, nil
	}
	err = m.mayFetch(ctx, repo)
	if err == nil {
		size, err = m.askBlob(ctx, repo, d)
	}
	if err != nil {
		return 0, 0, mirror.MissError(mirror.CodeBlobUnknown, mirror.Ref{Repo: repo, Digest: d}, err)
	}
	return size, size, nil
}
