package proxy

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// absentChildTTL is how long a tag is revalidated early if its index names a manifest that the upstream no longer has.
const absentChildTTL = time.Minute

// revalidation asks upstreams what stored tags point at now.
type revalidation struct {
	store     mirror.Store
	content   *content
	routing   *routing
	calls     *callGroup
	absent    absentCache
	manifests *manifests
	backfill  *backfill
	ttl       func(mirror.Ref) time.Duration // see [Options.TagTTL]
	timeout   time.Duration                  // see [Options.FallbackTimeout]
	log       *zap.Logger
	// absentChildren has the last manifest of each repository that its upstream did not have.
	absentChildren *ttlCache[digest.Digest]
}

// needed reports whether the upstream must be asked what tag points at now.
func (r *revalidation) needed(ctx context.Context, ref mirror.Ref, tag mirror.Tag) bool {
	if tag.Origin == mirror.Pushed {
		return false
	}
	ttl := r.ttl(ref)
	if ttl != mirror.Forever && !mirror.Within(tag.Checked, r.store.Now(), ttl) {
		return true
	}
	return r.lacksChild(ctx, ref.Repo, tag)
}

// childAbsent records that the upstream does not have a manifest, which may be the child of an index.
func (r *revalidation) childAbsent(ref mirror.Ref) {
	r.absentChildren.Add(ref.Repo.String(), ref.Digest)
}

// lacksChild reports whether tag points at an index with a child that the upstream no longer has. The tag has probably
// moved then. It returns true once for each such child.
func (r *revalidation) lacksChild(ctx context.Context, repo mirror.Repo, tag mirror.Tag) bool {
	absent, ok := r.absentChildren.Get(repo.String())
	if !ok {
		return false
	}
	man, err := r.content.manifest(mirror.WithoutUsage(ctx), repo, tag.Digest)
	if err != nil || !mirror.IsIndex(man.MediaType) {
		return false
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil || !slices.ContainsFunc(refs.Manifests, func(desc v1.Descriptor) bool { return desc.Digest == absent }) {
		return false
	}
	r.absentChildren.Remove(repo.String())
	return true
}

// revalidate asks the upstream what a stored tag points at. It returns the manifest, or why there is no answer within the
// fallback timeout. The call continues without its clients.
func (r *revalidation) revalidate(ctx context.Context, ref mirror.Ref, stored digest.Digest) (mirror.Manifest, error) {
	if err := r.routing.requestable(ctx, ref.Repo); err != nil {
		return mirror.Manifest{}, err
	}
	if err, ok := r.absent.Get(ref.String()); ok { // the upstream has deleted it a moment ago
		return mirror.Manifest{}, err
	}
	timeout := time.NewTimer(r.timeout)
	defer timeout.Stop()
	call, leave := r.calls.do(ctx, "revalidate "+ref.String(), func(net context.Context) (any, error) {
		man, err := r.manifests.resolve(net, ref, stored)
		if err == nil {
			r.backfill.enqueueUnrequested(ctx, ref.Repo, man, stored)
		}
		return man, err
	})
	defer leave()
	select {
	case <-call.done:
		if call.err != nil {
			r.absent.remember(ref.String(), call.err)
			r.log.Info("stale", zap.Stringer("ref", ref), zap.Error(call.err))
			return mirror.Manifest{}, call.err
		}
		return call.answer.(mirror.Manifest), nil
	case <-timeout.C:
		r.log.Info("stale: the upstream has not answered yet", zap.Stringer("ref", ref))
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeUnavailable, "%s has not answered yet", ref.Repo.Host)
	case <-ctx.Done():
		return mirror.Manifest{}, ctx.Err()
	}
}
