package transfer

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// owned walks what a manifest names in addition to the blobs and children that it needs. The repository decides whether
// each is a manifest or a blob. Missing content is an error, unless its presence was never promised: a client may push
// a manifest of an unknown type without all content that it names.
func (p *planner) owned(ctx context.Context, repo mirror.Repo, origin mirror.Origin, refs *mirror.References, lenient bool) (items []*item, err error) {
	for role, desc := range refs.Owned() {
		if role == mirror.RoleBlob || role == mirror.RoleManifest {
			continue
		}
		if role == mirror.RoleEntry && desc.Platform != nil && !p.selects(desc, p.platforms.Accept(*desc.Platform)) {
			continue
		}
		if role != mirror.RoleNondistributable {
			w := p.walk(ctx, place{repo, desc.Digest}, lenient)
			if w.err == nil {
				items = append(items, w.item)
				continue
			}
			if w.err != errNotStored {
				return nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s: %w", desc.Digest, w.err)
			}
		}
		blob, err := p.readableBlob(ctx, repo, desc.Digest)
		if err != nil {
			return nil, err
		}
		if blob != nil {
			items = append(items, blob)
			continue
		}
		stat, err := p.service.store.StatBlob(mirror.WithoutUsage(ctx), repo, desc.Digest)
		if err != nil {
			return nil, err
		}
		if role == mirror.RoleEntry || role == mirror.RoleNamed && (stat.Linked || origin == mirror.Mirrored) {
			return nil, mirror.Errorf(mirror.CodeBlobUnknown, "%s is missing", desc.Digest)
		}
	}
	return items, nil
}

// readableBlob returns a blob that is stored and available in repo, or nil.
func (p *planner) readableBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (*item, error) {
	p.protect(d)
	stat, err := p.service.store.StatBlob(mirror.WithoutUsage(ctx), repo, d)
	if err != nil || !stat.Stored || !stat.Linked {
		return nil, err
	}
	size, err := p.service.store.StatContent(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.item(d, size), nil
}

// referrersPage and referrersPageBytes are the number of referrers, and of bytes of them, that one call reads from the store.
const (
	referrersPage      = 256
	referrersPageBytes = 1 << 20
)

// addReferrers adds the referrers of a manifest as roots: those of the referrers API, and those with the tags of
// cosign. Their own referrers are added when they are planned.
func (p *planner) addReferrers(ctx context.Context, at place, lenient bool) error {
	found := root{why: bundle.WhyReferrer, subject: at.digest, lenient: lenient}
	for after, more := digest.Digest(""), true; more; {
		descs, goesOn, err := p.service.store.Referrers(ctx, at.repo, at.digest, after, referrersPage, referrersPageBytes)
		if err != nil {
			return err
		}
		for _, desc := range descs {
			found.ref = mirror.Ref{Repo: at.repo, Digest: desc.Digest}
			p.add(found)
			after = desc.Digest
		}
		more = goesOn
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		found.ref = mirror.Ref{Repo: at.repo, Tag: strings.Replace(at.digest.String(), ":", "-", 1) + suffix}
		_, err := p.service.store.Tag(ctx, found.ref.Repo, found.ref.Tag)
		switch {
		case err == nil:
			p.add(found)
		case mirror.CodeOf(err) != mirror.CodeManifestUnknown:
			return err
		}
	}
	return nil
}
