package transfer

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// maxFlattened is how deep an image may be in indexes to be taken out of them: each is looked at as often as it is named.
const maxFlattened = 16

// flatten returns the manifest of the platform that is asked for in the place of an index; anything else as it is. What is
// not stored is for the walk to find.
func (p *planner) flatten(ctx context.Context, at place, depth int) (digest.Digest, error) {
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
	if depth > maxFlattened {
		return "", mirror.Errorf(mirror.CodeManifestInvalid, "has indexes nested more than %d deep", maxFlattened)
	}
	var found []digest.Digest
	var has []string
	selected := p.platforms.Select(refs.Manifests)
	for i, desc := range refs.Manifests {
		if desc.Platform != nil && desc.Platform.OS != "unknown" {
			has = union(has, mirror.PlatformString(*desc.Platform))
		}
		flat, err := p.flattenEntry(ctx, place{at.repo, desc.Digest}, desc, selected[i], depth)
		if err != nil {
			return "", err
		}
		if flat != "" {
			found = append(found, flat)
		}
	}
	switch len(found) {
	case 0:
		return "", mirror.NoPlatform("", p.platforms, has)
	case 1:
		return found[0], nil
	}
	return "", mirror.Errorf(mirror.CodeManifestUnknown, "has %d images for %s, and is to become one: name the variant", len(found), p.platforms)
}

// flattened returns what an entry of an index comes to; "" if it is not for the platform.
func (p *planner) flattenEntry(ctx context.Context, at place, desc v1.Descriptor, selected bool, depth int) (digest.Digest, error) {
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
	flat, err := p.flatten(ctx, at, depth+1)
	if err != nil && !isFault(err) && desc.Platform == nil {
		return "", nil // an index of other platforms
	}
	return flat, err
}
