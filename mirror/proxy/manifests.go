package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// manifests fetches manifests from upstreams and stores them. Callers merge equal requests with a callGroup.
type manifests struct {
	store    mirror.Store
	upstream *upstreamSwitch
	content  *content
	writes   *writes
	backfill *backfill
	wants    *wants
	tasks    *tasks
	log      *zap.Logger
}

// fetch fetches a manifest and stores it, with the tags that point at it. If it cannot be stored, fetch returns it
// anyway.
func (m *manifests) fetch(ctx context.Context, ref mirror.Ref, tags ...string) (mirror.Manifest, error) {
	man, err := m.upstream.Manifest(ctx, ref)
	if err != nil {
		return mirror.Manifest{}, err
	}
	err = m.writes.room(int64(len(man.Bytes)))
	if err == nil {
		err = m.store.PutManifest(m.tasks.ctx, ref.Repo, man, tags...)
	}
	if err != nil {
		m.writes.logNotStored("cannot store a manifest", err, zap.Stringer("ref", ref))
		return man, nil
	}
	m.wants.remove(ref.Repo, man.Digest, tags...)
	if !mirror.IsIndex(man.MediaType) {
		m.backfill.manifestStored(mirror.Ref{Repo: ref.Repo, Digest: man.Digest})
	}
	return man, nil
}

// resolve asks the upstream what a tag points at, and fetches that manifest unless it is the stored one.
func (m *manifests) resolve(ctx context.Context, ref mirror.Ref, stored digest.Digest) (mirror.Manifest, error) {
	desc, err := m.upstream.Resolve(ctx, ref)
	if err != nil {
		return mirror.Manifest{}, err
	}
	if desc.Digest != stored {
		man, err := m.fetch(ctx, mirror.Ref{Repo: ref.Repo, Digest: desc.Digest}, ref.Tag)
		if mirror.Definitive(err) { // some caches serve by tag what they do not serve by digest
			man, err = m.fetch(ctx, ref, ref.Tag)
		}
		if err != nil {
			return man, mirror.Errorf(mirror.CodeOf(err), "the tag points at %s there now, which cannot be fetched: %w", desc.Digest, err)
		}
		return man, nil
	}
	if m.writes.allowed() == nil {
		if err := m.store.Revalidated(ctx, ref.Repo, ref.Tag, stored, m.store.Now()); err != nil {
			return mirror.Manifest{}, err
		}
	}
	man, err := m.content.manifest(ctx, ref.Repo, stored)
	if mirror.DefectOf(err) != nil {
		return m.fetch(ctx, mirror.Ref{Repo: ref.Repo, Digest: stored})
	}
	return man, err
}
