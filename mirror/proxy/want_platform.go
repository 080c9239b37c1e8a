package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// namePlatforms says of the manifests that are wanted by digest which platform they are for, as far as held indexes tell:
// that is what people need to fetch more than the one. It is found out when wants are listed and not when they are noted,
// so that a client is told no at once.
func (m *Proxy) namePlatforms(list []mirror.Want) {
	wanted := make(map[mirror.Repo]map[digest.Digest]*mirror.Want)
	for i := range list {
		ref, err := mirror.ParseRef(list[i].Ref)
		if err != nil || ref.Digest == "" || list[i].Blob {
			continue
		}
		if wanted[ref.Repo] == nil {
			wanted[ref.Repo] = make(map[digest.Digest]*mirror.Want)
		}
		wanted[ref.Repo][ref.Digest] = &list[i]
	}
	ctx := mirror.WithoutUsage(m.ctx)
	for repo, wants := range wanted {
		m.eachIndexed(ctx, repo, func(desc v1.Descriptor) {
			if want := wants[desc.Digest]; want != nil && desc.Platform != nil && desc.Platform.OS != "unknown" {
				want.Platform = mirror.PlatformString(*desc.Platform)
			}
		})
	}
}

// eachIndexed calls each with the entries of the indexes that tags of repo point at. What cannot be read is passed over.
func (m *Proxy) eachIndexed(ctx context.Context, repo mirror.Repo, each func(v1.Descriptor)) {
	for after := ""; ; {
		tags, err := m.store.Tags(ctx, repo, after, page)
		if err != nil {
			return
		}
		for _, tag := range tags {
			after = tag
			held, err := m.held(ctx, mirror.Ref{Repo: repo, Tag: tag})
			if err != nil || !mirror.IsIndex(held.MediaType) {
				continue
			}
			_, refs, err := mirror.ParseManifest(held.MediaType, held.Bytes)
			if err != nil {
				continue
			}
			for _, desc := range refs.Manifests {
				each(desc)
			}
		}
		if len(tags) < page {
			return
		}
	}
}
