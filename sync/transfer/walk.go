package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

var errNotStored = mirror.Errorf(mirror.CodeManifestUnknown, "is not held here")

// walk is a manifest that was looked at, with everything that it needs.
type walked struct {
	item   *item
	origin mirror.Origin
	err    error // why it is not whole
}

// walk looks at a manifest and at what it needs, once.
func (p *planner) walk(ctx context.Context, at place, lenient bool) walked {
	if w, known := p.walked[at]; known {
		return w
	}
	var w walked
	w.item, w.origin, w.err = p.readManifest(ctx, at, lenient)
	p.walked[at] = w
	return w
}

func (p *planner) readManifest(ctx context.Context, at place, lenient bool) (*item, mirror.Origin, error) {
	p.protect(at.digest)
	man, err := p.service.store.Manifest(ctx, at.repo, at.digest)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return nil, "", errNotStored
	}
	if err != nil {
		return nil, "", err
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return nil, "", err
	}
	size := int64(len(man.Bytes))
	man.Bytes = nil // there may be many, one inside the other
	required := refs.Blobs
	if !p.service.opts.IgnoreNondistributable {
		required = slices.Concat(refs.Blobs, refs.Nondistributable)
	}
	if err := p.checkBlobs(ctx, at.repo, required); err != nil {
		return nil, "", err
	}
	children, platforms, err := p.children(ctx, at.repo, &refs, lenient)
	sparse := len(children) < len(refs.Manifests)
	for _, child := range children {
		sparse = sparse || child.sparse
	}
	if err != nil {
		return nil, "", err
	}
	owned, err := p.owned(ctx, at.repo, man.Origin, &refs, lenient)
	if err != nil {
		return nil, "", err
	}
	it := p.item(at.digest, size)
	it.manifest, it.mediaType = true, man.MediaType
	it.repos = union(it.repos, at.repo.String())
	it.sparse = it.sparse || sparse
	for _, platform := range platforms {
		it.platforms = union(it.platforms, bundle.Text(platform)) // anybody may have written that
	}
	for _, desc := range refs.Blobs {
		it.need(p.item(desc.Digest, desc.Size))
	}
	for _, other := range slices.Concat(children, owned) {
		it.need(other)
	}
	if p.req.Referrers {
		err = p.addReferrers(ctx, at, lenient)
	}
	return it, man.Origin, err
}

// item returns what is known of a digest. Digests of many manifests that are the same share their memory.
func (p *planner) item(d digest.Digest, size int64) *item {
	it := p.items[d]
	if it == nil {
		it = &item{File: bundle.File{Digest: d, Size: size}}
		p.items[d] = it
	}
	return it
}

func (it *item) need(other *item) {
	if !slices.Contains(it.needs, other) {
		it.needs = append(it.needs, other)
	}
}

// union adds what is not there yet, in order.
func union(list []string, more ...string) []string {
	for _, s := range more {
		if i, found := slices.BinarySearch(list, s); !found {
			list = slices.Insert(list, i, s)
		}
	}
	return list
}

// lacks reports which blobs are not held as their manifest describes them, or not for repo.
func (p *planner) checkBlobs(ctx context.Context, repo mirror.Repo, blobs []v1.Descriptor) error {
	digests := make([]digest.Digest, len(blobs))
	for i, desc := range blobs {
		digests[i] = desc.Digest
	}
	p.protect(digests...)
	var missing []string
	var bytes uint64
	hint := ""
	for _, desc := range blobs {
		size, err := p.service.store.StatContent(ctx, desc.Digest)
		var stat mirror.BlobStat
		if err == nil {
			stat, err = p.service.store.StatBlob(mirror.WithoutUsage(ctx), repo, desc.Digest)
		}
		if err == nil && size == desc.Size && stat.Linked {
			continue
		}
		if err != nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			return err
		}
		if err == nil && size == desc.Size {
			hint = "; what is held for other repositories alone is confirmed by 'mirror sync' with the upstream in reach"
		}
		missing = append(missing, desc.Digest.String())
		bytes += uint64(desc.Size)
	}
	if len(missing) == 0 {
		return nil
	}
	return mirror.Errorf(mirror.CodeBlobUnknown, "lacks %s of blobs: %s%s", humanize.Bytes(bytes), joinNames(missing), hint)
}

// list joins the first few names.
func joinNames(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// children looks at the manifests of an index that are asked for. Without some of them it is whole all the same, for the
// other platforms or for what it has beside manifests; but not if they were asked for, or are there and lack something.
func (p *planner) children(ctx context.Context, repo mirror.Repo, refs *mirror.References, lenient bool) (whole []*item, platforms []string, err error) {
	var last error
	entries := refs.Manifests
	selected := p.platforms.Select(entries)
	for i, desc := range entries {
		if !p.selects(desc, selected[i]) {
			continue
		}
		at := place{repo, desc.Digest}
		if desc.Platform == nil {
			if err := p.checkPlatform(ctx, at, desc.Digest.String()); err != nil && isFault(err) {
				return nil, nil, err
			} else if err != nil {
				continue
			}
		}
		w := p.walk(ctx, at, lenient)
		if w.err == errNotStored {
			blob, err := p.readableBlob(ctx, repo, desc.Digest)
			if err != nil {
				return nil, nil, err
			}
			if blob != nil {
				whole = append(whole, blob)
				continue
			}
		}
		switch {
		case w.err == nil:
			whole = append(whole, w.item)
			platforms = append(platforms, w.item.platforms...)
			if desc.Platform != nil && desc.Platform.OS != "unknown" {
				platforms = append(platforms, mirror.PlatformString(*desc.Platform))
			}
		case isFault(w.err):
			return nil, nil, w.err
		case !lenient && (selected[i] || w.err != errNotStored):
			return nil, nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s: %w", nameOf(desc), w.err)
		default:
			last = w.err
		}
	}
	switch {
	case len(whole) > 0 || len(entries) == 0 || len(refs.Entries) > 0:
		return whole, platforms, nil
	case last != nil:
		return nil, nil, mirror.Errorf(mirror.CodeManifestUnknown, "none of its platforms is held whole")
	}
	var has []string
	for _, desc := range entries {
		if desc.Platform != nil && desc.Platform.OS != "unknown" {
			has = union(has, mirror.PlatformString(*desc.Platform))
		}
	}
	return nil, nil, mirror.NoPlatform("", p.platforms, has)
}

// chooses reports whether an entry of an index goes along, if it is held. Attestations of a build say "unknown", and come
// along with everything else that refers to an image.
func (p *planner) selects(desc v1.Descriptor, selected bool) bool {
	switch {
	case len(p.platforms) == 0 || desc.Platform == nil:
		return true
	case desc.Platform.OS == "unknown":
		return p.req.Referrers
	}
	return selected
}

// accepts returns why an image for one platform is for none of those that are asked for, as its config says. What is not
// stored is for the walk to find.
func (p *planner) checkPlatform(ctx context.Context, at place, name string) error {
	if len(p.platforms) == 0 {
		return nil
	}
	man, err := p.service.store.Manifest(ctx, at.repo, at.digest)
	if err != nil {
		return ignoreMissing(err)
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	config, ok := mirror.ConfigOf(refs)
	if err != nil || !ok {
		return err
	}
	of, ok, err := mirror.ConfigPlatform(ctx, p.service.store, at.repo, config)
	if err != nil {
		return ignoreMissing(err)
	}
	if ok && !p.platforms.Accept(of) {
		return mirror.NoPlatform(name, p.platforms, []string{mirror.PlatformString(of)})
	}
	return nil
}

// ignoreMissing returns nil for what says that something is not stored.
func ignoreMissing(err error) error {
	if code := mirror.CodeOf(err); code == mirror.CodeManifestUnknown || code == mirror.CodeBlobUnknown {
		return nil
	}
	return err
}

// nameOf says which entry of an index is meant.
func nameOf(desc v1.Descriptor) string {
	if desc.Platform != nil && desc.Platform.OS != "unknown" {
		return mirror.PlatformString(*desc.Platform)
	}
	return desc.Digest.String()
}
