package transfer

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// flattened is the result of flattening a manifest.
type flattened struct {
	digest digest.Digest
	err    error
}

// flatten returns the manifest for the requested platform in an index, and the manifest itself if it is not an index. It
// caches the result, because several indexes may name the same manifest. It does not report missing content, which the walk
// reports.
func (p *planner) flatten(ctx context.Context, at place) (digest.Digest, error) {
	f, known := p.flat[at]
	if !known {
		f.digest, f.err = p.flattenManifest(ctx, at)
		p.flat[at] = f
	}
	return f.digest, f.err
}

func (p *planner) flattenManifest(ctx context.Context, at place) (digest.Digest, error) {
	man, err := p.service.store.Manifest(ctx, at.repo, at.digest)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return at.digest, nil
	}
	if err != nil || !mirror.IsIndex(man.MediaType) {
		return at.digest, err
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return "", err
	}
	var found []digest.Digest
	var available []string
	selected := p.platforms.Select(refs.Manifests)
	for i, desc := range refs.Manifests {
		if desc.Platform != nil && desc.Platform.OS != "unknown" {
			available = union(available, mirror.PlatformString(*desc.Platform))
		}
		flat, err := p.flattenEntry(ctx, place{at.repo, desc.Digest}, desc, selected[i])
		if err != nil {
			return "", err
		}
		if flat != "" && !slices.Contains(found, flat) {
			found = append(found, flat)
		}
	}
	switch len(found) {
	case 0:
		return "", mirror.NoPlatform("", p.platforms, available)
	case 1:
		return found[0], nil
	}
	return "", mirror.Errorf(mirror.CodeManifestUnknown, "has %d images for %s, and flattening needs exactly one: name the variant", len(found), p.platforms)
}

// flattenEntry flattens an entry of an index. It returns "" if the entry is for another platform.
func (p *planner) flattenEntry(ctx context.Context, at place, desc v1.Descriptor, selected bool) (digest.Digest, error) {
	switch {
	case desc.Platform != nil && !selected:
		return "", nil
	case desc.Platform == nil:
		if err := p.checkPlatform(ctx, at, desc.Digest.String()); isFault(err) {
			return "", err
		} else if err != nil {
			return "", nil
		}
	}
	flat, err := p.flatten(ctx, at)
	if err != nil && !isFault(err) && desc.Platform == nil {
		return "", nil // an index for other platforms
	}
	return flat, err
}
