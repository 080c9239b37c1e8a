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

var errNotStored = mirror.Errorf(mirror.CodeManifestUnknown, "is not stored")

// walked is the result of walking a manifest.
type walked struct {
	item   *item
	origin mirror.Origin
	err    error // why it is incomplete
}

// walk reads a manifest and everything that it needs. It caches the result.
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
	man.Bytes = nil // saves memory while the recursion descends
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
		it.platforms = union(it.platforms, bundle.Text(platform)) // the manifest is untrusted
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

// item returns the item of a digest. Equal digests of several manifests share one item.
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

// union inserts strings into a sorted list, without duplicates.
func union(list []string, more ...string) []string {
	for _, s := range more {
		if i, found := slices.BinarySearch(list, s); !found {
			list = slices.Insert(list, i, s)
		}
	}
	return list
}

// checkBlobs returns an error if blobs are not stored as their manifest describes them, or not available in repo.
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
			hint = "; blobs that are stored for other repositories only become available with 'mirror sync' while the upstream is reachable"
		}
		missing = append(missing, desc.Digest.String())
		bytes += uint64(desc.Size)
	}
	if len(missing) == 0 {
		return nil
	}
	return mirror.Errorf(mirror.CodeBlobUnknown, "%s of blobs are missing: %s%s", humanize.Bytes(bytes), joinNames(missing), hint)
}

// joinNames joins the first maxNamed names.
func joinNames(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// children walks the selected manifests of an index. The other entries do not affect whether the index is complete. It
// is incomplete if a selected entry is not stored, or if a stored entry is incomplete.
func (p *planner) children(ctx context.Context, repo mirror.Repo, refs *mirror.References, lenient bool) (complete []*item, platforms []string, err error) {
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
				complete = append(complete, blob)
				continue
			}
		}
		switch {
		case w.err == nil:
			complete = append(complete, w.item)
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
	case len(complete) > 0 || len(entries) == 0 || len(refs.Entries) > 0:
		return complete, platforms, nil
	case last != nil:
		return nil, nil, mirror.Errorf(mirror.CodeManifestUnknown, "no platform is complete")
	}
	var has []string
	for _, desc := range entries {
		if desc.Platform != nil && desc.Platform.OS != "unknown" {
			has = union(has, mirror.PlatformString(*desc.Platform))
		}
	}
	return nil, nil, mirror.NoPlatform("", p.platforms, has)
}

// selects reports whether an entry of an index is exported if it is stored. Build attestations have the platform
// "unknown" and are exported with other referrers.
func (p *planner) selects(desc v1.Descriptor, selected bool) bool {
	switch {
	case len(p.platforms) == 0 || desc.Platform == nil:
		return true
	case desc.Platform.OS == "unknown":
		return p.req.Referrers
	}
	return selected
}

// checkPlatform returns an error if the config of an image says that it is for none of the requested platforms. It
// returns nil for missing content, which the walk reports.
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

// ignoreMissing returns nil for errors about content that is not stored, and err otherwise.
func ignoreMissing(err error) error {
	if code := mirror.CodeOf(err); code == mirror.CodeManifestUnknown || code == mirror.CodeBlobUnknown {
		return nil
	}
	return err
}

// nameOf names an entry of an index for people.
func nameOf(desc v1.Descriptor) string {
	if desc.Platform != nil && desc.Platform.OS != "unknown" {
		return mirror.PlatformString(*desc.Platform)
	}
	return desc.Digest.String()
}
