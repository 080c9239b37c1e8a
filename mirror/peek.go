package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// peek is [fetch.ask] for a dry run: what the upstream answers is not stored.
func (f *fetch) peek(ctx context.Context, ref Ref, held Manifest, missing error) (Manifest, error) {
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
			at = Ref{Repo: ref.Repo, Digest: desc.Digest}
		}
		return f.m.upstream.Manifest(net, at)
	})
	defer leave()
	select {
	case <-question.done:
		if question.err != nil {
			return Manifest{}, question.err
		}
		return question.answer.(Manifest), nil
	case <-ctx.Done():
		return Manifest{}, ctx.Err()
	}
}

// PeekBlob is [Mirror.FetchBlob] for a dry run: it says how large a blob is, and how much of it would be fetched.
func (m *Mirror) PeekBlob(ctx context.Context, repo Repo, d digest.Digest) (size, missing int64, err error) {
	ctx = Background(WithoutUsage(ctx))
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
		return 0, 0, unheld(CodeBlobUnknown, Ref{Repo: repo, Digest: d}, err)
	}
	return size, size, nil
}
