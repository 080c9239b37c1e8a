package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// measure sets the sizes and the use of an image by its digest. It reports whether the manifest is or was stored.
func (i *images) measure(ctx context.Context, repo mirror.Repo, image *mirror.Image) (known bool, err error) {
	sums, err := i.store.Summaries(ctx, []mirror.Ref{{Repo: repo, Digest: image.Digest}})
	if err == nil {
		image.Attached = image.Attached.Or(sums[0].Attached)
	}
	if err == nil && sums[0].Measured {
		setSummary(image, sums[0])
		return true, nil
	}
	if image.LastUsed, err = i.store.LastUsed(ctx, repo, image.Digest); err != nil {
		return false, err
	}
	man, err := i.store.Manifest(ctx, repo, image.Digest)
	if err == nil {
		s := &sizer{images: i, repo: repo}
		err = newWalk(s).manifest(ctx, man, true)
		image.Size, image.Missing, image.Complete = s.total, s.missing, err == nil && s.missingCount == 0
		return true, err
	}
	if mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return true, err
	}
	if mirror.DefectOf(err) != nil {
		return true, nil
	}
	stat, err := i.store.StatBlob(ctx, repo, image.Digest)
	if known = err == nil && stat.Stored && stat.Linked; known { // the index calls a blob a manifest
		image.Size, image.Complete = stat.Size, true
	}
	return known, err
}

// setSummary sets the sizes and the use of an image that the store has measured.
func setSummary(image *mirror.Image, sum mirror.Summary) {
	image.LastUsed, image.Size, image.Missing, image.Complete = sum.LastUsed, sum.Size, sum.Missing, sum.Complete
}

// sizer adds up the blobs of an image, and those of them that are missing.
type sizer struct {
	*images
	repo           mirror.Repo
	total, missing int64 // bytes
	missingCount   int
}

func (s *sizer) addMissing(size int64) {
	s.missingCount++
	s.missing = mirror.AddSizes(s.missing, size)
}

// enter implements [visitor].
func (s *sizer) enter(ctx context.Context, man mirror.Manifest, _ bool) (mirror.References, bool, error) {
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	if err != nil {
		return refs, false, err
	}
	lost, err := s.fileLost(ctx, man.Digest)
	if lost && err == nil { // the manifest is in memory only
		s.addMissing(int64(len(man.Bytes)))
	}
	return refs, err == nil, err
}

// open implements [visitor]. A manifest of an index is missing if it was stored and is lost. It is skipped if it was
// never stored; see [images.Images].
func (s *sizer) open(ctx context.Context, _ mirror.Manifest, role mirror.Role, desc v1.Descriptor) (mirror.Manifest, nodeKind, error) {
	if role != mirror.RoleManifest {
		if stored, err := s.stored(ctx, desc.Digest); stored || err != nil {
			return mirror.Manifest{}, isLeaf, err
		}
	}
	man, err := s.store.Manifest(ctx, s.repo, desc.Digest)
	if err == nil {
		return man, isManifest, nil
	}
	if mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return man, isSkipped, err
	}
	if role != mirror.RoleManifest {
		return man, isLeaf, nil
	}
	lost := mirror.DefectOf(err) != nil
	if stored, err := s.stored(ctx, desc.Digest); stored || err != nil { // a blob that the index calls a manifest
		return man, isLeaf, err
	}
	if lost {
		s.addMissing(desc.Size)
	}
	return man, isSkipped, nil
}

func (s *sizer) stored(ctx context.Context, d digest.Digest) (bool, error) {
	stat, err := s.store.StatBlob(ctx, s.repo, d)
	return stat.Stored && stat.Linked, err
}

// leaf implements [visitor]. Content in an unknown role is missing only if an upstream may have it, or if it was
// stored: a client may push a manifest without such content.
func (s *sizer) leaf(ctx context.Context, parent mirror.Manifest, role mirror.Role, desc v1.Descriptor) error {
	stat, err := s.store.StatBlob(ctx, s.repo, desc.Digest)
	if err != nil {
		return err
	}
	if stat.Stored && stat.Linked {
		s.total = mirror.AddSizes(s.total, stat.Size)
		lost := false
		if role != mirror.RoleManifest {
			lost, err = s.fileLost(ctx, desc.Digest)
		}
		if lost && err == nil {
			s.addMissing(stat.Size)
		}
		return err
	}
	if role == mirror.RoleNondistributable && s.ignoreNondistributable || role == mirror.RoleNamed && parent.Origin != mirror.Mirrored && !stat.Linked {
		return nil
	}
	size := max(0, desc.Size)
	s.total = mirror.AddSizes(s.total, size)
	s.addMissing(size)
	return nil
}

// leave implements [visitor].
func (s *sizer) leave(context.Context, mirror.Manifest) {}

// fileLost reports whether the file of stored content is missing, has another size or cannot be read.
func (s *sizer) fileLost(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := s.store.StatContent(ctx, d)
	return err != nil, ctx.Err()
}
