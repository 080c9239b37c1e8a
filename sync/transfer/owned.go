package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// owned looks at what a manifest names beside the blobs and the children that it needs. Each is what the repository has it
// as, a manifest or a blob. What is nowhere is lacking, unless nobody promised that there is such a thing: whoever pushed
// a manifest of an unknown type need not have had all that it names.
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
			return nil, mirror.Errorf(mirror.CodeBlobUnknown, "lacks %s", desc.Digest)
		}
	}
	return items, nil
}

// blob returns a blob that is stored and that repo may read, or nil.
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
