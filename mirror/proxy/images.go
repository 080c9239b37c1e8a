package proxy

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// images lists what is stored.
type images struct {
	store   mirror.Store
	content *content
	wants   *wants
	pulls   *pulls
	// ignoreNondistributable is [Options.IgnoreNondistributable].
	ignoreNondistributable bool
	tasks                  *tasks
	survey                 imageSurvey
}

// Images yields the stored images that match selects: one for each tag and platform, and for each image that was stored
// by its digest and has no tag. They come in the order of repository and name.
//
// A platform of an index is omitted if none of its content was ever stored, unless a client requested it and could not
// get it. An image whose content was lost is listed as incomplete, and so is an index of which no platform is stored. An
// image whose records cannot be read is listed with an error.
func (i *images) Images(ctx context.Context, match mirror.ImageMatch) iter.Seq2[mirror.Image, error] {
	return i.list(ctx, match, true)
}

// list is Images. Without configs, it does not read the configs of images, which name the platforms that no index names.
// It measures some images ahead, in parallel, because most of the time is spent waiting for the file system.
func (i *images) list(ctx context.Context, match mirror.ImageMatch, configs bool) iter.Seq2[mirror.Image, error] {
	ctx = mirror.WithoutUsage(ctx)
	return func(yield func(mirror.Image, error) bool) {
		l, err := i.lister(ctx, match, configs)
		if err != nil {
			yield(mirror.Image{}, err)
			return
		}
		for page, err := range mirror.InOrder(ctx, l.pages, l.ofPage) {
			if err != nil {
				yield(mirror.Image{}, err)
				return
			}
			for _, image := range page {
				if !yield(l.finished(image), nil) {
					return
				}
			}
		}
	}
}

// imageLister is one listing.
type imageLister struct {
	*images
	match   mirror.ImageMatch
	pins    map[string][]byte
	configs bool          // read configs
	offset  time.Duration // see [mirror.WallClockOffset]
}

// lister returns a lister of the images that match selects.
func (i *images) lister(ctx context.Context, match mirror.ImageMatch, configs bool) (l imageLister, err error) {
	l = imageLister{images: i, match: match, configs: configs, offset: mirror.WallClockOffset(i.store)}
	l.pins, err = i.store.State(ctx, mirror.PinState)
	return l, err
}

// finished returns an image with the times of the wall clock, and the number of its pulls.
func (l imageLister) finished(image mirror.Image) mirror.Image {
	if repo, err := mirror.ParseRepo(image.Repo); err == nil {
		image.Pulls = l.pulls.total(repo, image.Digest)
	}
	image.Updated, image.LastUsed = mirror.WallClockTime(image.Updated, l.offset), mirror.WallClockTime(image.LastUsed, l.offset)
	return image
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

// ofName returns the images of a name: one for each platform of an index.
func (l imageLister) ofName(ctx context.Context, name imageName, sum mirror.Summary) ([]mirror.Image, error) {
	image := mirror.Image{Repo: name.Repo.String(), Tag: name.Tag, Root: name.Digest, Digest: sum.Digest, Origin: sum.Origin, Updated: name.added, Attached: sum.Attached}
	if name.Tag != "" {
		image.Origin, image.Updated = sum.Tag.Origin, sum.Tag.Updated
	}
	switch {
	case sum.Err != nil:
		return nil, sum.Err
	case sum.Measured && !l.selects(image):
		return nil, nil
	case sum.Measured:
		image.Pinned = l.pinned(name.Repo, image.Tag, image.Digest)
		setSummary(&image, sum)
		image.Platform = sum.Platform
		var err error
		if sum.Config != "" {
			image.Platform, err = l.readPlatform(ctx, sum.Config)
		}
		return []mirror.Image{image}, err
	}
	man, err := l.content.manifest(ctx, name.Repo, sum.Digest)
	if err != nil && mirror.DefectOf(err) == nil {
		return nil, err
	}
	return l.ofManifest(ctx, name.Repo, man, image, err)
}

// selects reports whether an image that was not measured yet is to be listed.
func (l imageLister) selects(image mirror.Image) bool {
	return l.match.Image == nil || l.match.Image(image)
}

// ofManifest returns the images of a manifest, based on image. lost is why the manifest cannot be read; nil if it can.
func (l imageLister) ofManifest(ctx context.Context, repo mirror.Repo, man mirror.Manifest, image mirror.Image, lost error) ([]mirror.Image, error) {
	image.Pinned = l.pinned(repo, image.Tag, image.Digest)
	if lost != nil {
		return l.selected(image), nil
	}
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil || len(refs.Manifests) == 0 {
		if !l.selects(image) {
			return nil, nil
		}
		if image.Platform, err = l.platformOf(ctx, repo, refs); err == nil {
			_, err = l.measure(ctx, repo, &image)
		}
		return []mirror.Image{image}, err
	}
	var images []mirror.Image
	leftOut, passed := false, false // an entry was never stored, or is not selected
	for _, desc := range refs.Manifests {
		if isAttestation(desc) {
			continue
		}
		child := image
		child.Index = image.Digest
		child.Digest, child.Pinned = desc.Digest, image.Pinned || l.pinned(repo, image.Tag, desc.Digest)
		if !l.selects(child) {
			passed = true
			continue
		}
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
	if (len(images) == 0 && !passed || len(refs.Entries) > 0) && l.selects(image) { // the index is listed itself
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
		image.Platform, err = l.platformOf(ctx, repo, refs)
		return known, err
	}
	return known, nil
}

// selected returns the image, if it is selected.
func (l imageLister) selected(image mirror.Image) []mirror.Image {
	if !l.selects(image) {
		return nil
	}
	return []mirror.Image{image}
}

// platformOf reads the platform of an image from its config, if the repository may read that.
func (l imageLister) platformOf(ctx context.Context, repo mirror.Repo, refs mirror.References) (string, error) {
	config, ok := mirror.ConfigOf(refs)
	if !ok || !l.configs {
		return "", nil
	}
	stat, err := l.store.StatBlob(ctx, repo, config.Digest)
	if err != nil || !stat.Stored || !stat.Linked {
		return "", err
	}
	return l.readPlatform(ctx, config.Digest)
}

// readPlatform reads a platform from a stored config. It is "" if the config states none or was lost.
func (l imageLister) readPlatform(ctx context.Context, config digest.Digest) (string, error) {
	if !l.configs {
		return "", nil
	}
	blob, err := l.store.OpenContent(ctx, config)
	if err != nil {
		if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
			err = nil
		}
		return "", err
	}
	defer blob.Close()
	p, ok := mirror.ReadPlatform(blob)
	if !ok {
		return "", nil
	}
	return mirror.PlatformString(p), nil
}
