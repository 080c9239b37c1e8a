package proxy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// completeArrived has the images completed that the client has no need to ask for, after its question brought man. It is about
// children of an index of which the bytes are stored in any repository: a client that has one already, from there or from
// before, asks for the index alone. Each is asked for at the upstream of repo, which is what gives the right to read it
// there. With was, what the tag pointed at before, it is also about what man has for the platforms that were pulled of
// that: a client that has the new image already sends no more than a HEAD for the tag.
func (m *Proxy) completeArrived(client context.Context, repo mirror.Repo, man mirror.Manifest, was digest.Digest) {
	if images, _ := m.opts.Backfill(repo); !images || man.Digest == was || m.begin() != nil {
		return
	}
	go func() {
		defer m.work.Done()
		ctx := mirror.WithClientOf(mirror.WithoutUsage(m.ctx), client)
		if _, err := m.stored(ctx, repo, man.Digest); err != nil { // it could not be kept
			return
		}
		pulled := m.pulledPlatforms(ctx, repo, was)
		if !mirror.IsIndex(man.MediaType) {
			if len(pulled) > 0 {
				m.complete(ctx, mirror.Ref{Repo: repo, Digest: man.Digest})
			}
			return
		}
		m.completeChildren(ctx, repo, man, man.Digest, pulled)
	}()
}

// completeChildren is completeArrived for the children of an index, and for those of the indexes among them. root is the index that
// nobody names.
func (m *Proxy) completeChildren(ctx context.Context, repo mirror.Repo, index mirror.Manifest, root digest.Digest, pulled []string) {
	_, refs, err := mirror.ParseManifest(index.MediaType, index.Bytes)
	if err != nil {
		return
	}
	for _, desc := range refs.Manifests {
		if !m.isPulled(desc, pulled) {
			if _, err := m.store.StatContent(ctx, desc.Digest); err != nil {
				continue
			}
		}
		if !mirror.IsIndex(desc.MediaType) {
			m.completeChild(ctx, mirror.Ref{Repo: repo, Digest: desc.Digest}, root)
			continue
		}
		f := &fetch{m: m, repo: repo}
		nested, _, err := f.find(context.WithValue(ctx, choreKey{}, true), mirror.Ref{Repo: repo, Digest: desc.Digest})
		if err != nil {
			m.log.Info("an index inside an index cannot be completed", zap.Stringer("repo", repo), zap.Stringer("digest", desc.Digest), zap.Error(err))
			continue
		}
		if nested.Digest != root && mirror.IsIndex(nested.MediaType) {
			m.completeChildren(ctx, repo, nested, root, pulled)
		}
	}
}

func (m *Proxy) isPulled(desc v1.Descriptor, pulled []string) bool {
	return desc.Platform != nil && slices.Contains(pulled, mirror.PlatformString(mirror.NormalizePlatform(*desc.Platform)))
}

// pulledPlatforms are the platforms of an image that were pulled: those of which the config is stored. An image that is
// for no platform has the empty one.
func (m *Proxy) pulledPlatforms(ctx context.Context, repo mirror.Repo, d digest.Digest) (pulled []string) {
	if d == "" {
		return nil
	}
	man, err := m.stored(ctx, repo, d)
	if err != nil {
		return nil
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return nil
	}
	if mirror.IsIndex(man.MediaType) {
		for _, desc := range refs.Manifests {
			if desc.Platform == nil || desc.Platform.OS == "unknown" || mirror.IsIndex(desc.MediaType) {
				continue
			}
			if len(m.pulledPlatforms(ctx, repo, desc.Digest)) > 0 {
				pulled = append(pulled, mirror.PlatformString(mirror.NormalizePlatform(*desc.Platform)))
			}
		}
		return pulled
	}
	if len(refs.Blobs) == 0 {
		return nil
	}
	if stat, err := m.store.StatBlob(ctx, repo, refs.Blobs[0].Digest); err != nil || !stat.Stored || !stat.Linked {
		return nil
	}
	platform := ""
	if config, ok := mirror.ConfigOf(refs); ok {
		if p, ok, err := mirror.ConfigPlatform(ctx, m.store, repo, config); err == nil && ok {
			platform = mirror.PlatformString(mirror.NormalizePlatform(p))
		}
	}
	return []string{platform}
}
