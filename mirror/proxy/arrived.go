package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// ContentStored is told that manifest or blob d of repo, and tags that point at it, were stored by somebody else than this
// mirror, as an import does. It strikes off the wants that this fulfils, and forgets that an upstream said a moment ago
// that there is no such thing. What upstreams listed is right as before: lists have what is held in them anyway.
func (m *Proxy) ContentStored(repo mirror.Repo, d digest.Digest, tags ...string) {
	m.wants.fulfilled(repo, d, tags...)
	ref := mirror.Ref{Repo: repo, Digest: d}
	m.unknown.Remove(ref.String())
	m.unknown.Remove(unknownBlob(ref))
	for _, tag := range tags {
		m.unknown.Remove(mirror.Ref{Repo: repo, Tag: tag}.String())
	}
}

// ResolveWants strikes off the wants that can be given now, after content came in that nobody named to Arrived.
func (m *Proxy) ResolveWants(ctx context.Context) {
	ctx = mirror.WithoutUsage(ctx)
	for _, want := range m.wants.list() {
		ref, err := mirror.ParseRef(want.Ref)
		if err != nil || !m.gives(ctx, ref, want.Blob) {
			continue
		}
		if ref.Digest == "" {
			m.ContentStored(ref.Repo, "", ref.Tag)
		} else {
			m.ContentStored(ref.Repo, ref.Digest)
		}
	}
}

// gives reports whether a reference could be served from what is held.
func (m *Proxy) gives(ctx context.Context, ref mirror.Ref, blob bool) bool {
	switch {
	case blob:
		stat, err := m.store.StatBlob(ctx, ref.Repo, ref.Digest)
		return err == nil && stat.Stored && stat.Linked
	case ref.Digest != "":
		_, err := m.store.Manifest(ctx, ref.Repo, ref.Digest)
		return err == nil
	}
	tag, err := m.store.Tag(ctx, ref.Repo, ref.Tag)
	if err == nil {
		_, err = m.store.Manifest(ctx, ref.Repo, tag.Digest)
	}
	return err == nil
}
