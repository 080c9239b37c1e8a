package mirror

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"
)

// Answer is a manifest as it is served.
type Answer struct {
	Manifest
	// Repo is the repository under which it was found.
	Repo Repo
	// Stale says why it could not be revalidated though that was due; nil if it is current.
	Stale error
}

// Manifest returns the manifest that ref names, for a client that pulls it. By digest it is the held one, or else it is
// fetched. By tag it is the held one if that is pushed, fresh, or the best there is; see the package comment.
// [CodeManifestUnknown] says in its message why there is none.
func (m *Mirror) Manifest(ctx context.Context, ref Ref) (Answer, error) {
	ref, answer, err := m.manifest(ctx, ref)
	answer.Repo = ref.Repo
	if err == nil && answer.Origin == Mirrored && !IsIndex(answer.MediaType) {
		m.pulled(ctx, Ref{Repo: ref.Repo, Digest: answer.Digest})
	}
	return answer, err
}

// OpenManifest opens the bytes of a manifest that [Mirror.Manifest] returned, if it is stored, so that they need not stay
// in memory for as long as a client takes them.
func (m *Mirror) OpenManifest(ctx context.Context, repo Repo, d digest.Digest) (Blob, error) {
	blob, err := m.store.OpenManifest(ctx, repo, d)
	if err != nil {
		return Blob{}, err
	}
	return m.served(ctx, repo, d, blob)
}

// StatManifest is [Mirror.Manifest] for a client that only asks what is there.
func (m *Mirror) StatManifest(ctx context.Context, ref Ref) (Answer, error) {
	answer, err := m.statManifest(ctx, ref)
	if err == nil { // it may come from memory, and who asks may push nothing for that
		if _, lost := m.store.StatContent(ctx, answer.Digest); m.heal(ref.Repo, lost) != nil {
			return m.statManifest(ctx, ref)
		}
	}
	return answer, err
}

func (m *Mirror) statManifest(ctx context.Context, ref Ref) (Answer, error) {
	if m.created(ctx, ref.Repo) {
		held, err := m.held(ctx, ref)
		return Answer{Manifest: held.Manifest}, err
	}
	_, answer, err := m.manifest(ctx, ref)
	return answer, err
}

// manifest also returns the reference under which the manifest was found.
func (m *Mirror) manifest(ctx context.Context, ref Ref) (Ref, Answer, error) {
	if ref.Digest == "" {
		return m.manifestByTag(ctx, ref)
	}
	man, err := m.stored(ctx, ref.Repo, ref.Digest)
	if CodeOf(err) == CodeManifestUnknown {
		return m.manifestMissed(ctx, ref, DefectOf(err))
	}
	m.counters.manifests.held(err)
	return ref, Answer{Manifest: man}, err
}

// heldManifest is a manifest with the tag it was found by.
type heldManifest struct {
	Manifest
	tag Tag
}

func (m *Mirror) held(ctx context.Context, ref Ref) (held heldManifest, err error) {
	if ref.Digest == "" {
		if held.tag, err = m.store.Tag(ctx, ref.Repo, ref.Tag); err != nil {
			return held, err
		}
		ref.Digest = held.tag.Digest
	}
	held.Manifest, err = m.stored(ctx, ref.Repo, ref.Digest)
	return held, err
}

func (m *Mirror) manifestByTag(ctx context.Context, ref Ref) (Ref, Answer, error) {
	tag, err := m.store.Tag(ctx, ref.Repo, ref.Tag)
	if CodeOf(err) == CodeManifestUnknown {
		return m.manifestMissed(ctx, ref, nil)
	}
	if err != nil {
		return ref, Answer{}, err
	}
	var stale error
	if (m.due(ref, tag) || m.childGone(ctx, ref.Repo, tag)) && m.mayAsk(ctx, ref.Repo) != errLocal {
		var man Manifest
		if man, stale = m.revalidate(ctx, ref, tag.Digest); stale == nil {
			m.used(ctx, ref.Repo, man.Digest)
			m.counters.manifests.revalidated(man.Digest == tag.Digest)
			return ref, Answer{Manifest: man}, nil
		}
	}
	man, err := m.stored(ctx, ref.Repo, tag.Digest)
	if lost := DefectOf(err); lost != nil { // what the tag points at is known, and that it is not here any more
		man, err = m.fetchManifest(ctx, Ref{Repo: ref.Repo, Digest: tag.Digest}, lost)
		return ref, Answer{Manifest: man, Stale: stale}, err
	}
	if stale == nil {
		m.counters.manifests.held(err)
	} else {
		m.counters.manifests.stale.Add(1)
	}
	return ref, Answer{Manifest: man, Stale: stale}, err
}

// due reports whether an upstream is to be asked what tag points at now.
func (m *Mirror) due(ref Ref, tag Tag) bool {
	if tag.Origin == Pushed {
		return false
	}
	fresh := m.opts.TagTTL(ref)
	return fresh != Forever && !Within(tag.Checked, m.store.Now(), fresh)
}

// childGone reports whether tag leads to an index of which the upstream just said that it has a child no more: then the
// tag may have moved, however fresh it is. It does so once for each such answer.
func (m *Mirror) childGone(ctx context.Context, repo Repo, tag Tag) bool {
	gone, ok := m.gone.Get(repo.String())
	if !ok || tag.Origin == Pushed {
		return false
	}
	man, err := m.stored(WithoutUsage(ctx), repo, tag.Digest)
	if err != nil || !IsIndex(man.MediaType) {
		return false
	}
	_, refs, err := ParseManifest(man.MediaType, man.Bytes)
	if err != nil || !slices.ContainsFunc(refs.Manifests, func(desc v1.Descriptor) bool { return desc.Digest == gone }) {
		return false
	}
	m.gone.Remove(repo.String())
	return true
}

// revalidate asks upstream what a held tag points at. It returns the manifest, or why it could not be had before the
// client's patience ended. One question per tag is under way at a time; it goes on without its clients.
func (m *Mirror) revalidate(ctx context.Context, ref Ref, held digest.Digest) (Manifest, error) {
	if err := m.mayAsk(ctx, ref.Repo); err != nil {
		return Manifest{}, err
	}
	if err, ok := m.unknown.Get(ref.String()); ok { // it was dropped there a moment ago
		return Manifest{}, err
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
			return Manifest{}, question.err
		}
		return question.answer.(Manifest), nil
	case <-patience.C:
		m.log.Info("stale: the upstream has not answered yet", zap.Stringer("ref", ref))
		return Manifest{}, Errorf(CodeUnavailable, "%s has not answered yet", ref.Repo.Host)
	case <-ctx.Done():
		return Manifest{}, ctx.Err()
	}
}

// transferMoved asks what a tag points at and fetches that if it is not what is held.
func (m *Mirror) transferMoved(ctx context.Context, ref Ref, held digest.Digest) (Manifest, error) {
	desc, err := m.upstream.Resolve(ctx, ref)
	if err != nil {
		return Manifest{}, err
	}
	if desc.Digest != held {
		man, err := m.transferManifest(ctx, Ref{Repo: ref.Repo, Digest: desc.Digest}, ref.Tag)
		if final(err) { // some caches serve by tag what they do not serve by digest
			man, err = m.transferManifest(ctx, ref, ref.Tag)
		}
		if err != nil {
			return man, Errorf(CodeOf(err), "it is %s there now, which cannot be fetched: %w", desc.Digest, err)
		}
		return man, nil
	}
	if m.mayChange() == nil {
		if err := m.store.Revalidated(ctx, ref.Repo, ref.Tag, held, m.store.Now()); err != nil {
			return Manifest{}, err
		}
	}
	man, err := m.stored(ctx, ref.Repo, held)
	if DefectOf(err) != nil {
		return m.transferManifest(ctx, Ref{Repo: ref.Repo, Digest: held})
	}
	return man, err
}

// manifestMissed goes on with what is not held under the name that the client used; lost is what is wrong with what was.
func (m *Mirror) manifestMissed(ctx context.Context, ref Ref, lost *Defect) (Ref, Answer, error) {
	if long, ok := m.longName(ctx, ref.Repo); ok {
		ref.Repo = long
		return m.manifest(ctx, ref)
	}
	man, err := m.fetchManifest(ctx, ref, lost)
	if err == nil {
		m.used(ctx, ref.Repo, man.Digest)
	}
	return ref, Answer{Manifest: man}, err
}

// used has the store note that a client asked for a manifest that came as the answer to a question: that can be another
// one's, who just looked, and about a tag that leads to what is held already. An upstream's may not have been kept.
func (m *Mirror) used(ctx context.Context, repo Repo, d digest.Digest) {
	_, _ = m.store.Manifest(ctx, repo, d)
}

// fetchManifest answers a miss. Whatever the reason that it cannot, the answer is [CodeManifestUnknown], so that
// clients turn to their next endpoint.
func (m *Mirror) fetchManifest(ctx context.Context, ref Ref, lost *Defect) (Manifest, error) {
	m.counters.manifests.misses.Add(1)
	missed := func(why error) error { return m.missed(ctx, CodeManifestUnknown, ref, m.lost(ref, lost, why)) }
	if err := m.mayAsk(ctx, ref.Repo); err != nil {
		return Manifest{}, missed(err)
	}
	if err, ok := m.unknown.Get(ref.String()); ok {
		return Manifest{}, missed(err)
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
			if ref.Digest != "" && final(question.err) {
				m.gone.Add(ref.Repo.String(), ref.Digest)
			}
			return Manifest{}, missed(question.err)
		}
		return question.answer.(Manifest), nil
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
	err = m.room(int64(len(man.Bytes)))
	if err == nil {
		err = m.store.PutManifest(m.ctx, ref.Repo, man, tags...)
	}
	if err != nil {
		m.logUnkept("cannot keep a manifest", err, zap.Stringer("ref", ref))
		return man, nil
	}
	m.wants.fulfilled(ref.Repo, man.Digest, tags...)
	if !IsIndex(man.MediaType) {
		m.askedAbout(Ref{Repo: ref.Repo, Digest: man.Digest})
	}
	return man, nil
}

// final reports whether err is an upstream's own word that it does not have something, or may not give it.
func final(err error) bool {
	switch CodeOf(err) {
	case CodeManifestUnknown, CodeBlobUnknown, CodeNameUnknown, CodeDenied:
		return true
	}
	return false
}

// remember keeps, briefly, an upstream's word that it does not have something.
func (m *Mirror) remember(what string, why error) {
	if final(why) {
		m.unknown.Add(what, why)
	}
}

// missed is the answer to a miss: code, what was asked for, and why it cannot be had. What could not be had now, but
// perhaps another time, is a want; but not what a client looks for beside an image, which comes along with that.
func (m *Mirror) missed(ctx context.Context, code Code, ref Ref, why error) error {
	m.log.Info("miss", zap.Stringer("of", ref), zap.Bool("blob", code == CodeBlobUnknown), zap.Error(why))
	if !final(why) && !besideImage.MatchString(ref.Tag) {
		m.counters.wants.Add(1)
		m.wanted(m.wants.add(ctx, ref, code == CodeBlobUnknown, why))
	}
	return unheld(code, ref, why)
}

// besideImage are the tags by which clients look whether there is something about an image: signatures, attestations and
// SBOMs of cosign, and the referrers of registries without an API for them.
var besideImage = regexp.MustCompile(`^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.(?:sig|att|sbom))?$`)

const isUnheld = " is not held here and cannot be fetched"

// MissReason takes apart the answer to a miss: what it was about, as it is called in messages, and why it cannot be had.
func MissReason(err error) (what string, why error, ok bool) {
	e, ok := err.(*Error)
	if !ok || e.Cause == nil {
		return "", nil, false
	}
	what, ok = strings.CutSuffix(e.Message, isUnheld)
	return what, e.Cause, ok
}

const (
	// MissHeader is the header of a 404 in which one mirror tells another why: with [MissUnavailable] it does not have
	// what was asked for now, and perhaps another time. With a list it says that it lacks what an upstream would add.
	MissHeader      = "Airmirror-Miss"
	MissUnavailable = "unavailable"
)

// TemporaryMiss reports whether err is the answer to a miss of what may be there another time, and not an upstream's word
// that there is no such thing.
func TemporaryMiss(err error) bool {
	_, why, ok := MissReason(err)
	if e, known := err.(*Error); known && e.Cause != nil && strings.HasSuffix(e.Message, isUnknown) {
		why, ok = e.Cause, true
	}
	return ok && !final(why)
}

func unheld(code Code, ref Ref, why error) error {
	what := ref.String()
	if code == CodeBlobUnknown {
		what = "blob " + what
	}
	return &Error{Code: code, Message: what + isUnheld, Cause: why}
}
