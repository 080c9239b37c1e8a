package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// maxPlatformTags is in how many tags of a repository it is looked for what a wanted digest is for.
const maxPlatformTags = 1000

// platforms finds out what digests are for by the indexes that are held under tags. Each repository is read once, when
// wants are listed: a miss has no time for that.
type platforms struct {
	m  *Mirror
	of map[Repo]map[digest.Digest]string
}

// find returns os/arch of a manifest, or "" where no index says it.
func (p *platforms) find(ref Ref) string {
	of, known := p.of[ref.Repo]
	if !known {
		of = p.m.platformsIn(look(p.m.ctx), ref.Repo)
		p.of[ref.Repo] = of
	}
	return of[ref.Digest]
}

// platformsIn is what the indexes of repo say. What cannot be read says nothing.
func (m *Mirror) platformsIn(ctx context.Context, repo Repo) map[digest.Digest]string {
	of := make(map[digest.Digest]string)
	tags, err := m.store.Tags(ctx, repo, "", maxPlatformTags)
	if err != nil {
		return of
	}
	read := make(map[digest.Digest]bool)
	for _, name := range tags {
		tag, err := m.store.Tag(ctx, repo, name)
		if err != nil || read[tag.Digest] {
			continue
		}
		read[tag.Digest] = true
		man, err := m.store.Manifest(ctx, repo, tag.Digest)
		if err != nil || !IsIndex(man.MediaType) {
			continue
		}
		_, refs, err := ParseManifest(man.MediaType, man.Bytes)
		if err != nil {
			continue
		}
		for _, desc := range refs.Manifests {
			if desc.Platform != nil {
				of[desc.Digest] = PlatformString(*desc.Platform)
			}
		}
	}
	return of
}
