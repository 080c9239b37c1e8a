package mirror

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

// Manifest returns the manifest that ref names. By digest it is the held one, or else it is fetched. By tag it is the
// held one if that is pushed, fresh, or the best there is; see the package comment. [CodeManifestUnknown] says in its
// message why there is none.
func (m *Mirror) Manifest(ctx context.Context, ref Ref) (Manifest, error) {
	if ref.Digest == "" {
		return m.manifestByTag(ctx, ref)
	}
	man, err := m.store.Manifest(ctx, ref.Repo, ref.Digest)
	if CodeOf(err) == CodeManifestUnknown {
		return m.manifestMissed(ctx, ref)
	}
	return man, err
}

func (m *Mirror) manifestByTag(ctx context.Context, ref Ref) (Manifest, error) {
	tag, err := m.store.Tag(ctx, ref.Repo, ref.Tag)
	if CodeOf(err) == CodeManifestUnknown {
		return m.manifestMissed(ctx, ref)
	}
	if err != nil {
		return Manifest{}, err
	}
	if m.due(tag) && m.mayAsk(ctx, ref.Repo) == nil {
		if man, ok := m.revalidate(ctx, ref, tag.Digest); ok {
			return man, nil
		}
	}
	return m.store.Manifest(ctx, ref.Repo, tag.Digest)
}

// due reports whether an upstream is to be asked what tag points at now.
func (m *Mirror) due(tag Tag) bool {
	return !m.opts.Offline && tag.Origin != Pushed && time.Since(tag.Checked) >= m.opts.Fresh
}

// revalidate asks upstream what a held tag points at, and returns the manifest if it could be had before the client's
// patience ended. One question per tag is under way at a time; it goes on without its clients.
func (m *Mirror) revalidate(ctx context.Context, ref Ref, held digest.Digest) (Manifest, bool) {
	patience := time.NewTimer(m.opts.Patience)
	defer patience.Stop()
	answer := m.lookup("revalidate "+ref.String(), func(ctx context.Context) (Manifest, error) {
		desc, err := m.upstream.Resolve(ctx, ref)
		if err != nil {
			return Manifest{}, err
		}
		if desc.Digest == held {
			if err := m.store.Revalidated(ctx, ref.Repo, ref.Tag, held, time.Now()); err != nil {
				return Manifest{}, err
			}
			return m.store.Manifest(ctx, ref.Repo, held)
		}
		return m.transferManifest(ctx, Ref{Repo: ref.Repo, Digest: desc.Digest}, ref.Tag)
	})
	select {
	case res := <-answer:
		if res.Err != nil {
			m.log.Warn("serving a tag that could not be revalidated", zap.Stringer("ref", ref), zap.Error(res.Err))
			return Manifest{}, false
		}
		return res.Val.(Manifest), true
	case <-patience.C:
		m.log.Warn("serving a tag before its upstream has answered", zap.Stringer("ref", ref))
	case <-ctx.Done():
	}
	return Manifest{}, false
}

// manifestMissed goes on with what is not held under the name that the client used.
func (m *Mirror) manifestMissed(ctx context.Context, ref Ref) (Manifest, error) {
	if long, ok := m.longName(ctx, ref.Repo); ok {
		ref.Repo = long
		return m.Manifest(ctx, ref)
	}
	return m.fetchManifest(ctx, ref)
}

// fetchManifest answers a miss. Whatever the reason that it cannot, the answer is [CodeManifestUnknown], so that
// clients turn to their next endpoint.
func (m *Mirror) fetchManifest(ctx context.Context, ref Ref) (Manifest, error) {
	if err := m.mayAsk(ctx, ref.Repo); err != nil {
		return Manifest{}, missed(CodeManifestUnknown, ref.String(), err)
	}
	answer := m.lookup("fetch "+ref.String(), func(ctx context.Context) (Manifest, error) {
		if ref.Tag == "" {
			return m.transferManifest(ctx, ref)
		}
		return m.transferManifest(ctx, ref, ref.Tag)
	})
	select {
	case res := <-answer:
		if res.Err != nil {
			m.log.Info("miss", zap.Stringer("ref", ref), zap.Error(res.Err))
			return Manifest{}, missed(CodeManifestUnknown, ref.String(), res.Err)
		}
		return res.Val.(Manifest), nil
	case <-ctx.Done():
		return Manifest{}, ctx.Err()
	}
}

// transferManifest fetches a manifest and keeps it, with the tags that point at it. A client gets what was fetched even
// if it could not be kept.
func (m *Mirror) transferManifest(ctx context.Context, ref Ref, tags ...string) (Manifest, error) {
	man, err := m.upstream.Manifest(ctx, ref)
	if err != nil {
		return Manifest{}, err
	}
	if err := m.store.PutManifest(ctx, ref.Repo, man, tags...); err != nil {
		m.log.Error("cannot keep a manifest", zap.Stringer("ref", ref), zap.Error(err))
	}
	return man, nil
}

// lookup runs f once for all who ask under the same key at the same time.
func (m *Mirror) lookup(key string, f func(context.Context) (Manifest, error)) <-chan singleflight.Result {
	return m.lookups.DoChan(key, func() (any, error) {
		if err := m.begin(); err != nil {
			return nil, err
		}
		defer m.work.Done()
		return f(m.ctx)
	})
}

// missed is the answer to a miss: code, what was asked for, and why it cannot be had.
func missed(code Code, what string, why error) error {
	return &Error{Code: code, Message: what + " is not held here and cannot be fetched", Cause: why}
}
