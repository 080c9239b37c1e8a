package proxy

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// images lists what is stored.
type images struct {
	store   mirror.Store
	content *content
	wants   *wants
	// ignoreNondistributable is [Options.IgnoreNondistributable].
	ignoreNondistributable bool
	incomplete             incompleteCounter
}

// Images yields the stored images of the repositories that match accepts, or of all if match is nil: one for each tag and
// platform, and for each image that was stored by its digest and has no tag. They come in the order of repository and
// name.
//
// A platform of an index is omitted if none of its content was ever stored, unless a client requested it and could not
// get it. An image whose content was lost is listed as incomplete, and so is an index of which no platform is stored.
func (i *images) Images(ctx context.Context, match func(mirror.Repo) bool) iter.Seq2[mirror.Image, error] {
	return i.list(ctx, match, true)
}

// list is Images. Without configs, it does not read the configs of images, which name the platforms that no index names.
func (i *images) list(ctx context.Context, match func(mirror.Repo) bool, configs bool) iter.Seq2[mirror.Image, error] {
	ctx = mirror.WithoutUsage(ctx)
	return func(yield func(mirror.Image, error) bool) {
		l, offset := imageLister{images: i, configs: configs}, mirror.WallClockOffset(i.store)
		var err error
		if l.pins, err = i.store.State(ctx, mirror.PinState); err != nil {
			yield(mirror.Image{}, err)
			return
		}
		for repo, err := range mirror.AllRepos(ctx, i.store) {
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			if match != nil && !match(repo) {
				continue
			}
			for image, err := range l.inRepo(ctx, repo) {
				image.Updated, image.LastUsed = mirror.WallClockTime(image.Updated, offset), mirror.WallClockTime(image.LastUsed, offset)
				if !yield(image, err) || err != nil {
					return
				}
			}
		}
	}
}

// imageLister is one listing.
type imageLister struct {
	*images
	pins    map[string][]byte
	configs bool // read configs
}

// pinned reports whether a name, or one of the digests that it stands for, is pinned.
func (l imageLister) pinned(repo mirror.Repo, tag string, digests ...digest.Digest) bool {
	if len(l.pins) == 0 {
		return false
	}
	_, pinned := l.pins[mirror.Ref{Repo: repo, Tag: tag}.String()]
	for _, d := range digests {
		_, byDigest := l.pins[mirror.Ref{Repo: repo, Digest: d}.String()]
		pinned = pinned || byDigest
	}
	return pinned
}

// inRepo yields the images of a repository: those of its tags, then those of its roots without a tag.
func (l imageLister) inRepo(ctx context.Context, repo mirror.Repo) iter.Seq2[mirror.Image, error] {
	return func(yield func(mirror.Image, error) bool) {
		yieldAll := func(images []mirror.Image, err error) bool {
			if mirror.CodeOf(err) == mirror.CodeManifestUnknown { // it was deleted since
				return true
			}
			if err != nil {
				yield(mirror.Image{}, err)
				return false
			}
			for _, image := range images {
				if !yield(image, nil) {
					return false
				}
			}
			return true
		}
		for tag, err := range mirror.AllTags(ctx, l.store, repo) {
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			if !yieldAll(l.ofTag(ctx, repo, tag)) {
				return
			}
		}
		for root, err := range mirror.AllRoots(ctx, l.store, repo) {
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			if !root.Tagged && !yieldAll(l.ofRoot(ctx, repo, root)) {
				return
			}
		}
	}
}

// ofTag returns the images of a tag: one for each platform of an index.
func (l imageLister) ofTag(ctx context.Context, repo mirror.Repo, tag string) ([]mirror.Image, error) {
	found, err := l.content.lookup(ctx, mirror.Ref{Repo: repo, Tag: tag})
	if err != nil && mirror.DefectOf(err) == nil {
		return nil, err
	}
	image := mirror.Image{Repo: repo.String(), Tag: tag, Digest: found.tag.Digest, Origin: found.tag.Origin, Updated: found.tag.Updated}
	return l.ofManifest(ctx, repo, found.Manifest, image, err)
}

// ofRoot returns the images of a root.
func (l imageLister) ofRoot(ctx context.Context, repo mirror.Repo, root mirror.Root) ([]mirror.Image, error) {
	man, err := l.content.manifest(ctx, repo, root.Digest)
	if err != nil && mirror.DefectOf(err) == nil {
		return nil, err
	}
	image := mirror.Image{Repo: repo.String(), Root: root.Digest, Digest: root.Digest, Origin: man.Origin, Updated: root.Added}
	return l.ofManifest(ctx, repo, man, image, err)
}

// ofManifest returns the images of a manifest, based on image. lost is why the manifest cannot be read; nil if it can.
func (l imageLister) ofManifest(ctx context.Context, repo mirror.Repo, man mirror.Manifest, image mirror.Image, lost error) ([]mirror.Image, error) {
	image.Pinned = l.pinned(repo, image.Tag, image.Digest)
	if lost != nil {
		return []mirror.Image{image}, nil
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil || len(refs.Manifests) == 0 {
		if image.Platform, err = l.platform(ctx, repo, refs); err == nil {
			_, err = l.measure(ctx, repo, &image)
		}
		return []mirror.Image{image}, err
	}
	var images []mirror.Image
	leftOut := false
	for _, desc := range refs.Manifests {
		if desc.Platform != nil && desc.Platform.OS == "unknown" { // an attestation of a build
			continue
		}
		child := image
		child.Index = image.Digest
		child.Digest, child.Pinned = desc.Digest, image.Pinned || l.pinned(repo, image.Tag, desc.Digest)
		known, err := l.child(ctx, repo, desc, &child)
		if err != nil {
			return nil, err
		}
		if known || l.wants.has(mirror.Ref{Repo: repo, Digest: desc.Digest}) {
			images = append(images, child)
		} else {
			leftOut = true
		}
	}
	if len(images) == 0 || len(refs.Entries) > 0 { // the index is listed itself
		if _, err := l.measure(ctx, repo, &image); err != nil {
			return nil, err
		}
		image.Complete = image.Complete && !leftOut
		images = append(images, image)
	}
	return images, nil
}

// child sets what is known of an entry of an index. It reports whether the entry is or was stored.
func (l imageLister) child(ctx context.Context, repo mirror.Repo, desc v1.Descriptor, image *mirror.Image) (known bool, err error) {
	if known, err = l.measure(ctx, repo, image); err != nil {
		return known, err
	}
	if desc.Platform != nil {
		image.Platform = mirror.PlatformString(*desc.Platform)
		return known, nil
	}
	man, err := l.store.Manifest(ctx, repo, desc.Digest)
	if err != nil {
		return known, nil // no platform is known
	}
	if _, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes); err == nil {
		image.Platform, err = l.platform(ctx, repo, refs)
		return known, err
	}
	return known, nil
}

// platform reads the platform of an image from its config. It is "" if there is none or the config is not stored.
func (l imageLister) platform(ctx context.Context, repo mirror.Repo, refs mirror.References) (string, error) {
	config, ok := mirror.ConfigOf(refs)
	if !ok || !l.configs {
		return "", nil
	}
	p, ok, err := mirror.ConfigPlatform(ctx, l.store, repo, config)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown || err == nil && !ok {
		return "", nil
	}
	return mirror.PlatformString(p), err
}
