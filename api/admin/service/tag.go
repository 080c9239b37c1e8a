package service

import (
	"context"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// Pusher stores manifests as a push does.
type Pusher interface {
	PutManifest(ctx context.Context, put mirror.Put) (mirror.Manifest, mirror.References, error)
	Mount(ctx context.Context, repo, from mirror.Repo, d digest.Digest) error
}

// tag points a tag at a stored image, as a client would that pulls the image and pushes it under another name.
func (s *Service) tag(ctx context.Context, req admin.TagRequest, _ io.Reader, report admin.Report) error {
	from, err := s.findRef(ctx, req.Source)
	if err != nil {
		return err
	}
	if strings.Contains(req.Target, "@") {
		return mirror.Errorf(mirror.CodeNameInvalid, "%q: a tag is needed, not a digest", req.Target)
	}
	to, _, err := prefetch.ParseName(s.mirror.Names(), req.Target)
	if err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", prefetch.Named(req.Target, err))
	}
	if from.Digest == "" {
		tag, err := s.store.Tag(ctx, from.Repo, from.Tag)
		if err != nil {
			return err
		}
		from.Digest = tag.Digest
	}
	tagged := admin.Tagged{Reference: to.String(), Digest: from.Digest}
	if was, err := s.store.Tag(mirror.WithoutUsage(ctx), to.Repo, to.Tag); err == nil {
		tagged.Was = was.Digest
	}
	c := copier{Service: s, from: from.Repo, to: to.Repo, seen: map[digest.Digest]bool{}}
	err = c.copy(ctx, from.Digest, to.Tag)
	if code := mirror.CodeOf(err); code == mirror.CodeManifestBlobUnknown || code == mirror.CodeBlobUnknown {
		err = mirror.Errorf(mirror.CodeManifestUnknown, "%s is incomplete, and cannot be tagged: fetch the rest first: mirror sync %s", req.Source, req.Source)
	}
	if err != nil {
		return err
	}
	tagged.Skipped = c.skipped
	report.Summary(tagged)
	return nil
}

// copier copies manifests from one repository to another one, which may be the same.
type copier struct {
	*Service
	from, to mirror.Repo
	seen     map[digest.Digest]bool
	skipped  int // entries of indexes that are not stored completely
}

// copy makes the blobs of a manifest readable in the other repository, copies its children and referrers, and stores it
// there. Children that are not stored completely are left out, as an index may be sparse.
func (c *copier) copy(ctx context.Context, d digest.Digest, tags ...string) error {
	c.seen[d] = true
	manifest, err := c.store.Manifest(ctx, c.from, d)
	if err != nil {
		return err
	}
	if c.from != c.to {
		_, refs, err := mirror.ParseManifest(manifest.MediaType, manifest.Bytes)
		if err != nil {
			return err
		}
		if err := c.copyReferenced(ctx, refs); err != nil {
			return err
		}
	}
	if _, _, err := c.mirror.PutManifest(ctx, mirror.Put{Repo: c.to, Digest: d, MediaType: manifest.MediaType, Bytes: manifest.Bytes, Tags: tags}); err != nil {
		return err
	}
	if c.from == c.to {
		return nil
	}
	return c.copyReferrers(ctx, d)
}

// copyReferenced copies what a manifest names. It fails if a blob that a push must bring is not stored.
func (c *copier) copyReferenced(ctx context.Context, refs mirror.References) error {
	for _, blob := range refs.Blobs {
		if err := c.mirror.Mount(ctx, c.to, c.from, blob.Digest); err != nil {
			return err
		}
	}
	for _, optional := range [][]v1.Descriptor{refs.Nondistributable, refs.Entries, refs.Named} {
		for _, blob := range optional {
			if err := c.mirror.Mount(ctx, c.to, c.from, blob.Digest); err != nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				return err
			}
		}
	}
	stored := 0
	for _, child := range refs.Manifests {
		switch err := c.copy(ctx, child.Digest); mirror.CodeOf(err) {
		case mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, mirror.CodeManifestBlobUnknown:
			c.skipped++
			continue
		default:
			if err != nil {
				return err
			}
		}
		stored++
	}
	if stored == 0 && len(refs.Manifests) > 0 {
		return mirror.Errorf(mirror.CodeManifestBlobUnknown, "no platform is complete")
	}
	return nil
}

// referrersPage is the number of referrers that are read at a time.
const referrersPage = 256

// copyReferrers copies the signatures and other referrers of a manifest: those with a subject, and those with a tag of cosign.
func (c *copier) copyReferrers(ctx context.Context, d digest.Digest) error {
	var after digest.Digest
	for more := true; more; {
		var list []v1.Descriptor
		var err error
		if list, more, err = c.store.Referrers(ctx, c.from, d, after, referrersPage, mirror.MaxManifestSize); err != nil {
			return err
		}
		for _, referrer := range list {
			after = referrer.Digest
			if err := c.copyReferrer(ctx, referrer.Digest); err != nil {
				return err
			}
		}
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		name := d.Algorithm().String() + "-" + d.Encoded() + suffix
		tag, err := c.store.Tag(ctx, c.from, name)
		if err != nil {
			continue
		}
		if err := c.copyReferrer(ctx, tag.Digest, name); err != nil {
			return err
		}
	}
	return nil
}

// copyReferrer copies a referrer, unless it was copied or is not stored completely.
func (c *copier) copyReferrer(ctx context.Context, d digest.Digest, tags ...string) error {
	if c.seen[d] {
		return nil
	}
	err := c.copy(ctx, d, tags...)
	switch mirror.CodeOf(err) {
	case mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, mirror.CodeManifestBlobUnknown:
		c.skipped++
		return nil
	}
	return err
}
