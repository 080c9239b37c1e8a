package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// ContentStored must be called after manifest or blob d of repo, and tags that point at it, were stored without this proxy,
// such as by an import. It removes the wants for them, and forgets that an upstream does not have them. Cached lists of
// upstreams stay valid, since lists are merged with what is stored.
func (w *wants) ContentStored(repo mirror.Repo, d digest.Digest, tags ...string) {
	w.remove(repo, d, tags...)
	ref := mirror.Ref{Repo: repo, Digest: d}
	w.absent.Remove(ref.String())
	w.absent.Remove(blobKey(ref))
	for _, tag := range tags {
		w.absent.Remove(mirror.Ref{Repo: repo, Tag: tag}.String())
	}
}

// ResolveWants removes the wants for content that is stored now, for content that was not passed to ContentStored.
func (w *wants) ResolveWants(ctx context.Context) {
	ctx = mirror.WithoutUsage(ctx)
	for _, want := range w.list() {
		ref, err := mirror.ParseRef(want.Ref)
		if err != nil || !w.available(ctx, ref, want.Blob) {
			continue
		}
		if ref.Digest == "" {
			w.ContentStored(ref.Repo, "", ref.Tag)
		} else {
			w.ContentStored(ref.Repo, ref.Digest)
		}
	}
}

// available reports whether a reference can be served from the store.
func (w *wants) available(ctx context.Context, ref mirror.Ref, blob bool) bool {
	switch {
	case blob:
		stat, err := w.store.StatBlob(ctx, ref.Repo, ref.Digest)
		return err == nil && stat.Stored && stat.Linked
	case ref.Digest != "":
		_, err := w.store.Manifest(ctx, ref.Repo, ref.Digest)
		return err == nil
	}
	tag, err := w.store.Tag(ctx, ref.Repo, ref.Tag)
	if err == nil {
		_, err = w.store.Manifest(ctx, ref.Repo, tag.Digest)
	}
	return err == nil
}

// blobStored removes the wants for blob d, which was stored for repo, in all repositories that can read it.
func (w *wants) blobStored(repo mirror.Repo, d digest.Digest) {
	for _, other := range w.repos(d) {
		stat, err := w.store.StatBlob(mirror.WithoutUsage(w.tasks.ctx), other, d)
		if other == repo || err == nil && stat.Stored && stat.Linked {
			w.remove(other, d)
		}
	}
}

// addPlatforms sets the platforms of manifests that are wanted by digest, if a stored index names them, so that people can
// fetch more than the one. It runs when wants are listed and not when they are added, so that a miss is fast.
func (w *wants) addPlatforms(list []mirror.Want) {
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
	ctx := mirror.WithoutUsage(w.tasks.ctx)
	for repo, wants := range wanted {
		w.eachEntry(ctx, repo, func(desc v1.Descriptor) {
			if want := wants[desc.Digest]; want != nil && desc.Platform != nil && desc.Platform.OS != "unknown" {
				want.Platform = mirror.PlatformString(*desc.Platform)
			}
		})
	}
}

// eachEntry calls each with the entries of all indexes that tags of repo point at. It skips what cannot be read.
func (w *wants) eachEntry(ctx context.Context, repo mirror.Repo, each func(v1.Descriptor)) {
	for tag, err := range mirror.AllTags(ctx, w.store, repo) {
		if err != nil {
			return
		}
		found, err := w.content.lookup(ctx, mirror.Ref{Repo: repo, Tag: tag})
		if err != nil || !mirror.IsIndex(found.MediaType) {
			continue
		}
		_, refs, err := mirror.ParseManifest(found.MediaType, found.Bytes)
		if err != nil {
			continue
		}
		for _, desc := range refs.Manifests {
			each(desc)
		}
	}
}
