package proxy

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Manifest returns the manifest that ref names, for a client that pulls it. By digest it is the held one, or else it is
// fetched. By tag it is the held one if that is pushed, fresh, or the best there is; see the package comment.
// [mirror.CodeManifestUnknown] says in its message why there is none.
func (m *Proxy) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	ref, answer, err := m.manifest(ctx, ref)
	answer.Repo = ref.Repo
	if err == nil && answer.Origin == mirror.Mirrored && !mirror.IsIndex(answer.MediaType) {
		m.pulled(ctx, mirror.Ref{Repo: ref.Repo, Digest: answer.Digest})
	}
	return answer, err
}

// OpenManifest opens the bytes of a manifest that [Proxy.Manifest] returned, if it is stored, so that they need not stay
// in memory for as long as a client takes them.
func (m *Proxy) OpenManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	blob, err := m.store.OpenManifest(ctx, repo, d)
	if err != nil {
		return mirror.Blob{}, err
	}
	return m.served(ctx, repo, d, blob)
}

// StatManifest is [Proxy.Manifest] for a client that only asks what is there.
func (m *Proxy) StatManifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	answer, err := m.statManifest(ctx, ref)
	if err == nil { // it may come from memory, and who asks may push nothing for that
		if _, lost := m.store.StatContent(ctx, answer.Digest); m.heal(ref.Repo, lost) != nil {
			return m.statManifest(ctx, ref)
		}
	}
	return answer, err
}

func (m *Proxy) statManifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	if m.created(ctx, ref.Repo) {
		held, err := m.held(ctx, ref)
		return mirror.Answer{Manifest: held.Manifest}, err
	}
	_, answer, err := m.manifest(ctx, ref)
	return answer, err
}

// manifest also returns the reference under which the manifest was found.
func (m *Proxy) manifest(ctx context.Context, ref mirror.Ref) (mirror.Ref, mirror.Answer, error) {
	if ref.Digest == "" {
		return m.manifestByTag(ctx, ref)
	}
	man, err := m.stored(ctx, ref.Repo, ref.Digest)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return m.manifestMissed(ctx, ref, mirror.DefectOf(err))
	}
	m.counters.manifests.held(err)
	return ref, mirror.Answer{Manifest: man}, err
}

// heldManifest is a manifest with the tag it was found by.
type heldManifest struct {
	mirror.Manifest
	tag mirror.Tag
}

func (m *Proxy) held(ctx context.Context, ref mirror.Ref) (held heldManifest, err error) {
	if ref.Digest == "" {
		if held.tag, err = m.store.Tag(ctx, ref.Repo, ref.Tag); err != nil {
			return held, err
		}
		ref.Digest = held.tag.Digest
	}
	held.Manifest, err = m.stored(ctx, ref.Repo, ref.Digest)
	return held, err
}

func (m *Proxy) manifestByTag(ctx context.Context, ref mirror.Ref) (mirror.Ref, mirror.Answer, error) {
	tag, err := m.store.Tag(ctx, ref.Repo, ref.Tag)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return m.manifestMissed(ctx, ref, nil)
	}
	if err != nil {
		return ref, mirror.Answer{}, err
	}
	var stale error
	if (m.due(ref, tag) || m.childGone(ctx, ref.Repo, tag)) && m.mayAsk(ctx, ref.Repo) != errLocal {
		var man mirror.Manifest
		if man, stale = m.revalidate(ctx, ref, tag.Digest); stale == nil {
			m.used(ctx, ref.Repo, man.Digest)
			m.counters.manifests.revalidated(man.Digest == tag.Digest)
			return ref, mirror.Answer{Manifest: man}, nil
		}
	}
	man, err := m.stored(ctx, ref.Repo, tag.Digest)
	if lost := mirror.DefectOf(err); lost != nil { // what the tag points at is known, and that it is not here any more
		man, err = m.fetchManifest(ctx, mirror.Ref{Repo: ref.Repo, Digest: tag.Digest}, lost)
		return ref, mirror.Answer{Manifest: man, Stale: stale}, err
	}
	if stale == nil {
		m.counters.manifests.held(err)
	} else {
		m.counters.manifests.stale.Add(1)
	}
	return ref, mirror.Answer{Manifest: man, Stale: stale}, err
}

// due reports whether an upstream is to be asked what tag points at now.
func (m *Proxy) due(ref mirror.Ref, tag mirror.Tag) bool {
	if tag.Origin == mirror.Pushed {
		return false
	}
	fresh := m.opts.TagTTL(ref)
	return fresh != mirror.Forever && !mirror.Within(tag.Checked, m.store.Now(), fresh)
}

// childGone reports whether tag leads to an index of which the upstream just said that it has a child no more: then the
// tag may have moved, however fresh it is. It does so once for each such answer.
func (m *Proxy) childGone(ctx context.Context, repo mirror.Repo, tag mirror.Tag) bool {
	gone, ok := m.gone.Get(repo.String())
	if !ok || tag.Origin == mirror.Pushed {
		return false
	}
	man, err := m.stored(mirror.WithoutUsage(ctx), repo, tag.Digest)
	if err != nil || !mirror.IsIndex(man.MediaType) {
		return false
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil || !slices.ContainsFunc(refs.Manifests, func(desc v1.Descriptor) bool { return desc.Digest == gone }) {
		return false
	}
	m.gone.Remove(repo.String())
	return true
}

// revalidate asks upstream what a held tag points at. It returns the manifest, or why it could not be had before the
// client's patience ended. One question per tag is under way at a time; it goes on without its clients.
func (m *Proxy) revalidate(ctx context.Context, ref mirror.Ref, held digest.Digest) (mirror.Manifest, error) {
	if err := m.mayAsk(ctx, ref.Repo); err != nil {
		return mirror.Manifest{}, err
	}
	if err, ok := m.unknown.Get(ref.String()); ok { // it was dropped there a moment ago
		return mirror.Manifest{}, err
	}
	patience := time.NewTimer(m.opts.FallbackTimeout)
	defer patience.Stop()
	question, leave := m.lookup(ctx, "revalidate "+ref.String(), func(net context.Context) (any, error) {
		man, err := m.transferMoved(net, ref, held)
		if err == nil {
			m.completeArrived(ctx, ref.Repo, man, held)
		}
		return man, err
	})
	defer leave()
	select {
	case <-question.done:
		if question.err != nil {
			m.remember(ref.String(), question.err)
			m.log.Info("stale", zap.Stringer("ref", ref), zap.Error(question.err))
			return mirror.Manifest{}, question.err
		}
		return question.answer.(mirror.Manifest), nil
	case <-patience.C:
		m.log.Info("stale: the upstream has not answered yet", zap.Stringer("ref", ref))
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeUnavailable, "%s has not answered yet", ref.Repo.Host)
	case <-ctx.Done():
		return mirror.Manifest{}, ctx.Err()
	}
}

// transferMoved asks what a tag points at and fetches that if it is not what is held.
func (m *Proxy) transferMoved(ctx context.Context, ref mirror.Ref, held digest.Digest) (mirror.Manifest, error) {
	desc, err := m.upstream.Resolve(ctx, ref)
	if err != nil {
		return mirror.Manifest{}, err
	}
	if desc.Digest != held {
		man, err := m.transferManifest(ctx, mirror.Ref{Repo: ref.Repo, Digest: desc.Digest}, ref.Tag)
		if mirror.Definitive(err) { // some caches serve by tag what they do not serve by digest
			man, err = m.transferManifest(ctx, ref, ref.Tag)
		}
		if err != nil {
			return man, mirror.Errorf(mirror.CodeOf(err), "it is %s there now, which cannot be fetched: %w", desc.Digest, err)
		}
		return man, nil
	}
	if m.mayChange() == nil {
		if err := m.store.Revalidated(ctx, ref.Repo, ref.Tag, held, m.store.Now()); err != nil {
			return mirror.Manifest{}, err
		}
	}
	man, err := m.stored(ctx, ref.Repo, held)
	if mirror.DefectOf(err) != nil {
		return m.transferManifest(ctx, mirror.Ref{Repo: ref.Repo, Digest: held})
	}
	return man, err
}

// manifestMissed goes on with what is not held under the name that the client used; lost is what is wrong with what was.
func (m *Proxy) manifestMissed(ctx context.Context, ref mirror.Ref, lost *mirror.Defect) (mirror.Ref, mirror.Answer, error) {
	if long, ok := m.longName(ctx, ref.Repo); ok {
		ref.Repo = long
		return m.manifest(ctx, ref)
	}
	man, err := m.fetchManifest(ctx, ref, lost)
	if err == nil {
		m.used(ctx, ref.Repo, man.Digest)
	}
	return ref, mirror.Answer{Manifest: man}, err
}

// used has the store note that a client asked for a manifest that came as the answer to a question: that can be another
// one's, who just looked, and about a tag that leads to what is held already. An upstream's may not have been kept.
func (m *Proxy) used(ctx context.Context, repo mirror.Repo, d digest.Digest) {
	_, _ = m.store.Manifest(ctx, repo, d)
}

// fetchManifest answers a miss. Whatever the reason that it cannot, the answer is [mirror.CodeManifestUnknown], so that
// clients turn to their next endpoint.
func (m *Proxy) fetchManifest(ctx context.Context, ref mirror.Ref, lost *mirror.Defect) (mirror.Manifest, error) {
	m.counters.manifests.misses.Add(1)
	missed := func(why error) error { return m.missed(ctx, mirror.CodeManifestUnknown, ref, m.lost(ref, lost, why)) }
	if err := m.mayAsk(ctx, ref.Repo); err != nil {
		return mirror.Manifest{}, missed(err)
	}
	if err, ok := m.unknown.Get(ref.String()); ok {
		return mirror.Manifest{}, missed(err)
	}
	question, leave := m.lookup(ctx, "fetch "+ref.String(), func(net context.Context) (any, error) {
		var tags []string
		if ref.Tag != "" {
			tags = []string{ref.Tag}
		}
		man, err := m.transferManifest(net, ref, tags...)
		if err == nil {
			m.completeArrived(ctx, ref.Repo, man, "")
		}
		return man, err
	})
	defer leave()
	select {
	case <-question.done:
		if question.err != nil {
			m.remember(ref.String(), question.err)
			if ref.Digest != "" && mirror.Definitive(question.err) {
				m.gone.Add(ref.Repo.String(), ref.Digest)
			}
			return mirror.Manifest{}, missed(question.err)
		}
		return question.answer.(mirror.Manifest), nil
	case <-ctx.Done():
		return mirror.Manifest{}, ctx.Err()
	}
}

// transferManifest fetches a manifest and keeps it, with the tags that point at it. A client gets what was fetched even
// if it could not be kept.
func (m *Proxy) transferManifest(ctx context.Context, ref mirror.Ref, tags ...string) (mirror.Manifest, error) {
	man, err := m.upstream.Manifest(ctx, ref)
	if err != nil {
		return mirror.Manifest{}, err
	}
	err = m.room(int64(len(man.Bytes)))
	if err == nil {
		err = m.store.PutManifest(m.ctx, ref.Repo, man, tags...)
	}
	if err != nil {
		m.logUnkept("cannot keep a manifest", err, zap.Stringer("ref", ref))
		return man, nil
	}
	m.wants.fulfilled(ref.Repo, man.Digest, tags...)
	if !mirror.IsIndex(man.MediaType) {
		m.askedAbout(mirror.Ref{Repo: ref.Repo, Digest: man.Digest})
	}
	return man, nil
}

// remember keeps, briefly, an upstream's word that it does not have something.
func (m *Proxy) remember(what string, why error) {
	if mirror.Definitive(why) {
		m.unknown.Add(what, why)
	}
}

// missed is the answer to a miss: code, what was asked for, and why it cannot be had. What could not be had now, but
// perhaps another time, is a want; but not what a client looks for beside an image, which comes along with that.
func (m *Proxy) missed(ctx context.Context, code mirror.Code, ref mirror.Ref, why error) error {
	m.log.Info("miss", zap.Stringer("of", ref), zap.Bool("blob", code == mirror.CodeBlobUnknown), zap.Error(why))
	if !mirror.Definitive(why) && !besideImage.MatchString(ref.Tag) {
		m.counters.wants.Add(1)
		m.wanted(m.wants.add(ctx, ref, code == mirror.CodeBlobUnknown, why))
	}
	return mirror.MissError(code, ref, why)
}

// besideImage are the tags by which clients look whether there is something about an image: signatures, attestations and
// SBOMs of cosign, and the referrers of registries without an API for them.
var besideImage = regexp.MustCompile(`^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.(?:sig|att|sbom))?$`)
