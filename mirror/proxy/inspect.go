package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

const (
	// maxPlatforms, maxUsers and maxReferrers limit what is shown of one image.
	maxPlatforms, maxUsers, maxReferrers = 50, 100, 100
	// maxReferrerBytes is the most JSON of referrers that is read.
	maxReferrerBytes = 512 << 10
)

// Inspect returns what is stored of an image. It sends no requests, counts as no use, and repairs nothing. If the manifest
// is not stored or cannot be read, the error is a [mirror.CodeManifestUnknown]. With raw, the details have the manifest.
func (i *images) Inspect(ctx context.Context, ref mirror.Ref, raw bool) (mirror.ImageDetails, error) {
	ctx = mirror.WithoutUsage(ctx)
	l, err := i.lister(ctx, mirror.ImageMatch{}, true)
	if err != nil {
		return mirror.ImageDetails{}, err
	}
	in := inspection{imageLister: l, repo: ref.Repo}
	if err := in.readManifest(ctx, ref, raw); err != nil {
		return mirror.ImageDetails{}, err
	}
	if err := errors.Join(in.readPlatforms(ctx), in.readUsers(ctx), in.readReferrers(ctx)); err != nil {
		return mirror.ImageDetails{}, err
	}
	return in.details, nil
}

// inspection reads the details of one manifest.
type inspection struct {
	imageLister
	repo     mirror.Repo
	details  mirror.ImageDetails
	manifest mirror.Manifest
	refs     mirror.References
	read     int64 // bytes of configs
}

// readManifest reads the manifest and its names.
func (in *inspection) readManifest(ctx context.Context, ref mirror.Ref, raw bool) (err error) {
	d := &in.details
	d.Reference, d.Repo, d.Tag, d.Digest = ref.String(), ref.Repo.String(), ref.Tag, ref.Digest
	if ref.Digest == "" {
		tag, err := in.store.Tag(ctx, ref.Repo, ref.Tag)
		if err != nil {
			return err
		}
		d.Digest, d.Updated, d.Checked = tag.Digest, mirror.WallClockTime(tag.Updated, in.offset), mirror.WallClockTime(tag.Checked, in.offset)
		d.Origin = tag.Origin
	}
	if in.manifest, err = in.store.Manifest(ctx, in.repo, d.Digest); err != nil {
		return err
	}
	if d.Origin == "" {
		d.Origin = in.manifest.Origin
	}
	used, err := in.store.LastUsed(ctx, in.repo, d.Digest)
	if err != nil {
		return err
	}
	d.LastUsed = mirror.WallClockTime(used, in.offset)
	d.MediaType, d.Size, d.Pinned = in.manifest.MediaType, int64(len(in.manifest.Bytes)), in.pinned(in.repo, ref.Tag, d.Digest)
	if raw {
		d.Manifest = string(in.manifest.Bytes)
	}
	if _, in.refs, err = mirror.ParseManifest(in.manifest.MediaType, in.manifest.Bytes); err != nil {
		d.Error = err.Error()
		return nil
	}
	d.ArtifactType, d.Annotations = clip(in.refs.ArtifactType), clipMap(in.refs.Annotations)
	return nil
}

// readPlatforms reads the images of an index, or the one image.
func (in *inspection) readPlatforms(ctx context.Context) error {
	in.details.Platforms = []mirror.PlatformDetails{}
	if in.details.Error != "" {
		return nil
	}
	if len(in.refs.Manifests) == 0 {
		platform, err := in.readPlatform(ctx, v1.Descriptor{Digest: in.details.Digest, MediaType: in.details.MediaType})
		in.details.Platforms = append(in.details.Platforms, platform)
		return err
	}
	for _, desc := range in.refs.Manifests {
		if isAttestation(desc) || len(in.details.Platforms) == maxPlatforms {
			in.details.Other++
			continue
		}
		platform, err := in.readPlatform(ctx, desc)
		if err != nil {
			return err
		}
		in.details.Platforms = append(in.details.Platforms, platform)
	}
	in.details.Other += len(in.refs.Entries)
	return nil
}

// isAttestation reports whether an entry of an index is an attestation of a build.
func isAttestation(desc v1.Descriptor) bool {
	return desc.Platform != nil && desc.Platform.OS == "unknown"
}

// readPlatform reads what is stored of an image.
func (in *inspection) readPlatform(ctx context.Context, desc v1.Descriptor) (mirror.PlatformDetails, error) {
	p := mirror.PlatformDetails{Digest: desc.Digest, MediaType: clip(desc.MediaType), Layers: []mirror.ImageLayer{}}
	if desc.Platform != nil {
		p.Platform = clip(mirror.PlatformString(*desc.Platform))
	}
	man, err := in.store.Manifest(ctx, in.repo, desc.Digest)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		if mirror.DefectOf(err) != nil {
			p.Error = err.Error()
		}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Stored, p.MediaType, p.Pulls = true, man.MediaType, in.pulls.of(in.repo, desc.Digest)
	image := mirror.Image{Digest: desc.Digest}
	if _, err := in.measure(ctx, in.repo, &image); err != nil {
		return p, err
	}
	p.Size, p.Missing, p.Complete, p.LastUsed = image.Size, image.Missing, image.Complete, mirror.WallClockTime(image.LastUsed, in.offset)
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		p.Error = err.Error()
		return p, nil
	}
	p.ArtifactType = clip(refs.ArtifactType)
	layers := refs.Blobs
	if config, ok := mirror.ConfigOf(refs); ok {
		layers = layers[1:]
		if err := in.readConfig(ctx, config, &p); err != nil {
			return p, err
		}
	}
	p.Layers, err = in.readLayers(ctx, slices.Concat(layers, refs.Nondistributable, refs.Entries, refs.Named))
	return p, err
}

// readLayers returns what is stored of blobs.
func (in *inspection) readLayers(ctx context.Context, blobs []v1.Descriptor) ([]mirror.ImageLayer, error) {
	layers, digests := make([]mirror.ImageLayer, len(blobs)), make([]digest.Digest, len(blobs))
	for k, desc := range blobs {
		stat, err := in.store.StatBlob(ctx, in.repo, desc.Digest)
		if err != nil {
			return nil, err
		}
		digests[k] = desc.Digest
		layers[k] = mirror.ImageLayer{Digest: desc.Digest, MediaType: clip(desc.MediaType), Size: max(0, desc.Size), Title: clip(desc.Annotations[v1.AnnotationTitle])}
		if stat.Stored && stat.Linked {
			lost, err := (&sizer{images: in.images}).fileLost(ctx, desc.Digest)
			if err != nil {
				return nil, err
			}
			layers[k].Stored, layers[k].Size = !lost, stat.Size
		}
	}
	users, err := in.store.Users(ctx, digests, mirror.MaxShared+1)
	for k, n := range users {
		layers[k].Shared = max(0, n-1)
	}
	return layers, err
}

// readUsers reads the tags and indexes that name the manifest.
func (in *inspection) readUsers(ctx context.Context) error {
	by := &in.details.UsedBy
	if in.refs.Subject != nil {
		by.Subject = in.refs.Subject.Digest
	}
	return in.store.SurveyRefs(ctx, []mirror.Ref{{Repo: in.repo, Digest: in.details.Digest}}, func(s mirror.Survey) error {
		by.Tags, by.Indexes, by.More = nil, nil, false
		for tag, err := range s.Tags() {
			if err == nil && tag.Digest == in.details.Digest {
				by.Tags, by.More = addUser(by.Tags, tag.Name, by.More)
			}
		}
		for m, err := range s.Manifests() {
			if err == nil && slices.Contains(m.Children, in.details.Digest) {
				by.Indexes, by.More = addUser(by.Indexes, m.Digest, by.More)
			}
		}
		return nil
	})
}

func addUser[T any](list []T, user T, more bool) ([]T, bool) {
	if len(list) == maxUsers {
		return list, true
	}
	return append(list, user), more
}

// readReferrers reads what refers to the manifest or to an image of it.
func (in *inspection) readReferrers(ctx context.Context) error {
	in.details.Referrers = []mirror.Referrer{}
	subjects := []digest.Digest{in.details.Digest}
	for _, p := range in.details.Platforms {
		if p.Digest != in.details.Digest {
			subjects = append(subjects, p.Digest)
		}
	}
	for _, subject := range subjects {
		list, more, err := in.store.Referrers(ctx, in.repo, subject, "", maxReferrers, maxReferrerBytes)
		if err != nil {
			return err
		}
		in.details.MoreReferrers = in.details.MoreReferrers || more
		for _, desc := range list {
			in.details.Attached.Add(mirror.ReferrerKindOf(desc.ArtifactType))
			in.addReferrer(mirror.Referrer{
				Kind: mirror.ReferrerKindOf(desc.ArtifactType), Digest: desc.Digest, Subject: subject, MediaType: clip(desc.MediaType),
				ArtifactType: clip(desc.ArtifactType), Size: desc.Size,
			})
		}
		if err := in.readTagged(ctx, subject); err != nil {
			return err
		}
	}
	for _, desc := range in.refs.Manifests {
		if isAttestation(desc) {
			subject := digest.Digest(desc.Annotations["vnd.docker.reference.digest"])
			if subject.Validate() != nil {
				subject = in.details.Digest
			}
			in.addReferrer(mirror.Referrer{Kind: mirror.AttestationReferrer, Digest: desc.Digest, Subject: subject, MediaType: clip(desc.MediaType), Size: desc.Size})
		}
	}
	return nil
}

// readTagged reads the referrers of a manifest that refer to it by a tag.
func (in *inspection) readTagged(ctx context.Context, subject digest.Digest) error {
	prefix := mirror.SubjectTag(subject)
	const most = 16
	tags, err := in.store.Tags(ctx, in.repo, prefix, most)
	if err != nil && mirror.CodeOf(err) != mirror.CodeNameUnknown {
		return err
	}
	for _, name := range tags {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		if tag, err := in.store.Tag(ctx, in.repo, name); err == nil {
			in.details.Attached.Add(mirror.ReferrerKindOf(name[len(prefix):]))
			in.addReferrer(mirror.Referrer{Kind: mirror.ReferrerKindOf(name[len(prefix):]), Digest: tag.Digest, Subject: subject, Tag: name})
		}
	}
	return nil
}

// addReferrer adds a referrer unless there are too many.
func (in *inspection) addReferrer(r mirror.Referrer) {
	if len(in.details.Referrers) == maxReferrers {
		in.details.MoreReferrers = true
		return
	}
	in.details.Referrers = append(in.details.Referrers, r)
}
