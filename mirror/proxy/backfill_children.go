package proxy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// enqueueUnrequested enqueues images that the client of a call has no need to request after the call stored man.
//
// Those are the children of an index whose manifests are stored for any repository: a client that has the child already
// requests the index only. Each child is requested from the upstream of repo, which gives the right to read it there.
//
// If previous is what the tag pointed at before, those are also the images in man for the platforms that were pulled of
// previous: a client that has the new image already sends a HEAD request for the tag only.
func (b *backfill) enqueueUnrequested(client context.Context, repo mirror.Repo, man mirror.Manifest, previous digest.Digest) {
	if images, _ := b.enabled(repo); !images || man.Digest == previous || b.tasks.begin() != nil {
		return
	}
	go func() {
		defer b.tasks.done()
		ctx := mirror.WithClientOf(mirror.WithoutUsage(b.tasks.ctx), client)
		if _, err := b.content.manifest(ctx, repo, man.Digest); err != nil { // it could not be stored
			return
		}
		pulled := b.pulledPlatforms(ctx, repo, previous)
		if !mirror.IsIndex(man.MediaType) {
			if len(pulled) > 0 {
				b.enqueue(ctx, mirror.Ref{Repo: repo, Digest: man.Digest})
			}
			return
		}
		b.enqueueChildren(ctx, repo, man, man.Digest, pulled)
	}()
}

// enqueueChildren is enqueueUnrequested for the children of an index and of the indexes in it. root is the outermost index.
func (b *backfill) enqueueChildren(ctx context.Context, repo mirror.Repo, index mirror.Manifest, root digest.Digest, pulled []string) {
	_, refs, err := mirror.ParseManifest(index.MediaType, index.Bytes)
	if err != nil {
		return
	}
	for _, desc := range refs.Manifests {
		if !isPulled(desc, pulled) {
			if _, err := b.store.StatContent(ctx, desc.Digest); err != nil {
				continue
			}
		}
		ref := mirror.Ref{Repo: repo, Digest: desc.Digest}
		if !mirror.IsIndex(desc.MediaType) {
			b.enqueueChild(ctx, ref, root)
			continue
		}
		nested, err := b.fetcher.fetchManifest(withoutCaller(ctx), ref)
		if err != nil {
			b.log.Info("cannot complete a nested index", zap.Stringer("repo", repo), zap.Stringer("digest", desc.Digest), zap.Error(err))
			continue
		}
		if nested.Digest != root && mirror.IsIndex(nested.MediaType) {
			b.enqueueChildren(ctx, repo, nested, root, pulled)
		}
	}
}

func isPulled(desc v1.Descriptor, pulled []string) bool {
	return desc.Platform != nil && slices.Contains(pulled, normalized(*desc.Platform))
}

func normalized(p v1.Platform) string { return mirror.PlatformString(mirror.NormalizePlatform(p)) }

// pulledPlatforms returns the platforms of an image that were pulled: those whose config is stored. An image without a
// platform has the platform "".
func (b *backfill) pulledPlatforms(ctx context.Context, repo mirror.Repo, d digest.Digest) (pulled []string) {
	if d == "" {
		return nil
	}
	man, err := b.content.manifest(ctx, repo, d)
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
			if len(b.pulledPlatforms(ctx, repo, desc.Digest)) > 0 {
				pulled = append(pulled, normalized(*desc.Platform))
			}
		}
		return pulled
	}
	if len(refs.Blobs) == 0 {
		return nil
	}
	if stat, err := b.store.StatBlob(ctx, repo, refs.Blobs[0].Digest); err != nil || !stat.Stored || !stat.Linked {
		return nil
	}
	platform := ""
	if config, ok := mirror.ConfigOf(refs); ok {
		if p, ok, err := mirror.ConfigPlatform(ctx, b.store, repo, config); err == nil && ok {
			platform = normalized(p)
		}
	}
	return []string{platform}
}
