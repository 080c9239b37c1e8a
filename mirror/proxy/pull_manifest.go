package proxy

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// puller serves manifests and blobs to clients: from the store, or from an upstream on a miss.
type puller struct {
	store        mirror.Store
	content      *content
	recovery     *recovery
	routing      *routing
	calls        *callGroup
	absent       absentCache
	manifests    *manifests
	downloads    *downloads
	revalidation *revalidation
	backfill     *backfill
	wants        *wants
	pushes       *recentPushes
	existing     *ttlCache[struct{}] // manifests whose files existed a moment ago, by digest
	counters     *counters
	pulls        *pulls
}

// Manifest returns the manifest that ref names, for a client that pulls it. By digest, it is the stored manifest or, on a
// miss, the upstream's. By tag, the stored one is revalidated first if it was not pushed and its TTL has passed; see the
// package comment. If there is none, the error is a [mirror.CodeManifestUnknown] whose message says why.
func (p *puller) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	ref, answer, err := p.manifest(ctx, ref)
	answer.Repo = ref.Repo
	if err == nil && !mirror.IsIndex(answer.MediaType) {
		p.pulls.count(ctx, ref.Repo, answer.Digest)
	}
	if err == nil && answer.Origin == mirror.Mirrored && !mirror.IsIndex(answer.MediaType) {
		p.backfill.manifestPulled(ctx, mirror.Ref{Repo: ref.Repo, Digest: answer.Digest})
	}
	return answer, err
}

// OpenManifest opens the bytes of a manifest that Manifest returned, if it is stored, so that they need not stay in memory
// while a client reads them.
func (p *puller) OpenManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	blob, err := p.store.OpenManifest(ctx, repo, d)
	if err != nil {
		return mirror.Blob{}, err
	}
	return p.content.verified(ctx, repo, d, blob)
}

// StatManifest is like Manifest for a client that does not read the manifest.
func (p *puller) StatManifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	answer, err := p.statManifest(ctx, ref)
	if err == nil && !p.fileExists(ctx, ref.Repo, answer.Digest) {
		return p.statManifest(ctx, ref)
	}
	return answer, err
}

const (
	// maxExisting is how many manifests are remembered whose files existed, and existingTTL for how long. Within that
	// time, a request is answered from memory alone, like GET.
	maxExisting = 4096
	existingTTL = time.Second
)

// fileExists reports whether the file of a manifest exists, and discards the manifest if it does not. The manifest may be
// in memory although its file is lost, and a client that pushes would then skip the upload.
func (p *puller) fileExists(ctx context.Context, repo mirror.Repo, d digest.Digest) bool {
	if _, ok := p.existing.Get(string(d)); ok {
		return true
	}
	_, err := p.store.StatContent(ctx, d)
	if err == nil {
		p.existing.Add(string(d), struct{}{})
	}
	return p.content.discard(repo, err) == nil
}

func (p *puller) statManifest(ctx context.Context, ref mirror.Ref) (mirror.Answer, error) {
	answer, missed, err := p.stored(ctx, ref)
	if missed && !p.pushes.creates(ctx, ref.Repo) {
		_, answer, err = p.missing(ctx, ref, mirror.DefectOf(err))
	}
	return answer, err
}

// manifest returns a manifest, with the reference that it was found by.
func (p *puller) manifest(ctx context.Context, ref mirror.Ref) (mirror.Ref, mirror.Answer, error) {
	answer, missed, err := p.stored(ctx, ref)
	if missed {
		return p.missing(ctx, ref, mirror.DefectOf(err))
	}
	return ref, answer, err
}

// stored returns a stored manifest. missed means that it is not stored under ref.
func (p *puller) stored(ctx context.Context, ref mirror.Ref) (answer mirror.Answer, missed bool, err error) {
	if ref.Digest == "" {
		return p.storedByTag(ctx, ref)
	}
	man, err := p.content.manifest(ctx, ref.Repo, ref.Digest)
	p.counters.manifests.hit(err)
	return mirror.Answer{Manifest: man}, mirror.CodeOf(err) == mirror.CodeManifestUnknown, err
}

// storedByTag returns the stored manifest of a tag, after the tag was revalidated if necessary.
func (p *puller) storedByTag(ctx context.Context, ref mirror.Ref) (answer mirror.Answer, missed bool, err error) {
	tag, err := p.store.Tag(ctx, ref.Repo, ref.Tag)
	if err != nil {
		return mirror.Answer{}, mirror.CodeOf(err) == mirror.CodeManifestUnknown, err
	}
	var stale error
	if p.revalidation.needed(ctx, ref, tag) && p.routing.requestable(ctx, ref.Repo) != errLocal {
		var man mirror.Manifest
		if man, stale = p.revalidation.revalidate(ctx, ref, tag.Digest); stale == nil {
			p.recordUse(ctx, ref.Repo, man.Digest)
			p.counters.manifests.revalidated(man.Digest == tag.Digest)
			return mirror.Answer{Manifest: man}, false, nil
		}
	}
	man, err := p.content.manifest(ctx, ref.Repo, tag.Digest)
	if lost := mirror.DefectOf(err); lost != nil { // the digest of the tag is known, but its manifest is lost
		man, err = p.fetch(ctx, mirror.Ref{Repo: ref.Repo, Digest: tag.Digest}, lost)
		return mirror.Answer{Manifest: man, Stale: stale}, false, err
	}
	if stale == nil {
		p.counters.manifests.hit(err)
	} else {
		p.counters.manifests.stale.Add(1)
	}
	return mirror.Answer{Manifest: man, Stale: stale}, false, err
}

// missing handles a manifest that is not stored under the name in the request. lost is the defect of the stored one, or nil.
func (p *puller) missing(ctx context.Context, ref mirror.Ref, lost *mirror.Defect) (mirror.Ref, mirror.Answer, error) {
	if long, ok := p.routing.longName(ctx, ref.Repo); ok {
		ref.Repo = long
		return p.manifest(ctx, ref)
	}
	man, err := p.fetch(ctx, ref, lost)
	if err == nil {
		p.recordUse(ctx, ref.Repo, man.Digest)
	}
	return ref, mirror.Answer{Manifest: man}, err
}

// recordUse reads a manifest from the store, so that the store records its use by this client: another client may have
// made the request that fetched the manifest. An error is ignored, since the manifest may not be stored.
func (p *puller) recordUse(ctx context.Context, repo mirror.Repo, d digest.Digest) {
	_, _ = p.store.Manifest(ctx, repo, d)
}

// fetch fetches a manifest on a miss. Every error is a [mirror.CodeManifestUnknown], so that clients try their next
// endpoint.
func (p *puller) fetch(ctx context.Context, ref mirror.Ref, lost *mirror.Defect) (mirror.Manifest, error) {
	p.counters.manifests.misses.Add(1)
	missed := func(reason error) error {
		return p.wants.missed(ctx, mirror.CodeManifestUnknown, ref, p.recovery.lost(ref, lost, reason))
	}
	if err := p.routing.requestable(ctx, ref.Repo); err != nil {
		return mirror.Manifest{}, missed(err)
	}
	if err, ok := p.absent.Get(ref.String()); ok {
		return mirror.Manifest{}, missed(err)
	}
	call, leave := p.calls.do(ctx, "fetch "+ref.String(), func(net context.Context) (any, error) {
		var tags []string
		if ref.Tag != "" {
			tags = []string{ref.Tag}
		}
		man, err := p.manifests.fetch(net, ref, tags...)
		if err == nil {
			p.backfill.enqueueUnrequested(ctx, ref.Repo, man, "")
		}
		return man, err
	})
	defer leave()
	if err := call.wait(ctx); err != nil {
		return mirror.Manifest{}, err
	}
	if call.err != nil {
		p.absent.remember(ref.String(), call.err)
		if ref.Digest != "" && mirror.Definitive(call.err) {
			p.revalidation.childAbsent(ref)
		}
		return mirror.Manifest{}, missed(call.err)
	}
	return call.answer.(mirror.Manifest), nil
}
