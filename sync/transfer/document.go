package transfer

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// manifest is one that is to be entered in repositories.
type manifest struct {
	digest    digest.Digest
	mediaType string
	repos     []mirror.Repo
	local     []bool // of the repositories: they were created by a push where it comes from
	// What follows is known once it was inspected.
	index      bool
	references int             // at how many others
	children   []digest.Digest // that are entered, too
	owned      []digest.Digest // that it names and does not need, and that came with it
}

// digestsOf are all digests in a document.
func digestsOf(doc *bundle.Document) []digest.Digest {
	list := make([]digest.Digest, 0, len(doc.Manifests)+len(doc.Blobs)+len(doc.Assumes))
	for d := range entriesOf(doc) {
		list = append(list, d)
	}
	for _, a := range doc.Assumes {
		list = append(list, a.Digest)
	}
	return list
}

// entriesOf yields what is in the tar, with its size.
func entriesOf(doc *bundle.Document) iter.Seq2[digest.Digest, int64] {
	return func(yield func(digest.Digest, int64) bool) {
		for _, m := range doc.Manifests {
			if !yield(m.Digest, m.Size) {
				return
			}
		}
		for _, b := range doc.Blobs {
			if !yield(b.Digest, b.Size) {
				return
			}
		}
	}
}

// list reads from the document what is to be entered, and refuses one that contradicts itself.
func (in *importer) listManifests() error {
	doc := in.doc
	if !mirror.ValidTag(doc.Source) || doc.Destination != "" && !mirror.ValidTag(doc.Destination) || doc.Sequence < 1 || doc.ID == "" {
		return mirror.Errorf(mirror.CodeBundleInvalid, "the bundle does not say properly where it comes from")
	}
	repos := make(map[string]bundle.Repository, len(doc.Repositories))
	for _, r := range doc.Repositories {
		repos[r.Name] = r
	}
	entered := make(map[place]bool)
	add := func(d digest.Digest, mediaType string, names []string) error {
		m := manifest{digest: d, mediaType: mediaType}
		for _, name := range names {
			repo, err := mirror.ParseRepo(name)
			if err != nil {
				return mirror.Errorf(mirror.CodeBundleInvalid, "manifest %s: %w", d, err)
			}
			m.repos, m.local = append(m.repos, repo), append(m.local, repos[name].Local)
			entered[place{repo, d}] = true
		}
		in.manifests = append(in.manifests, m)
		return nil
	}
	for _, m := range doc.Manifests {
		if err := add(m.Digest, m.MediaType, m.Repositories); err != nil {
			return err
		}
	}
	for _, a := range doc.Assumes {
		if a.MediaType == "" {
			continue
		}
		if err := add(a.Digest, a.MediaType, a.Repositories); err != nil {
			return err
		}
	}
	return checkImages(doc.Images, entered)
}

// checkImages refuses images without a manifest, and a tag that points at two.
func checkImages(images []bundle.Image, entered map[place]bool) error {
	tags := make(map[mirror.Ref]bool, len(images))
	for _, image := range images {
		repo, err := mirror.ParseRepo(image.Repository)
		if err != nil {
			return mirror.Errorf(mirror.CodeBundleInvalid, "an image in it: %w", err)
		}
		ref := mirror.Ref{Repo: repo, Tag: image.Tag, Digest: image.Digest}
		if image.Tag != "" {
			ref.Digest = ""
		}
		switch {
		case image.Tag != "" && !mirror.ValidTag(image.Tag):
			return mirror.Errorf(mirror.CodeBundleInvalid, "%q is not a tag", image.Tag)
		case !entered[place{repo, image.Digest}]:
			return mirror.Errorf(mirror.CodeBundleInvalid, "the manifest of %s is not among those of the bundle", ref)
		case tags[ref]:
			return mirror.Errorf(mirror.CodeBundleInvalid, "%s is in it twice", ref)
		}
		tags[ref] = true
	}
	return nil
}

// preview tells what would come in.
func (in *importer) preview(ctx context.Context) error {
	for i := range in.doc.Images {
		image := &in.doc.Images[i]
		in.report(Event{Kind: KindImage, Image: image})
		repo, err := mirror.ParseRepo(image.Repository)
		if err != nil {
			return err
		}
		if image.Tag == "" || in.req.Overwrite {
			continue
		}
		if err := in.wouldKeep(ctx, repo, image.Tag, image.Digest); err != nil {
			return err
		}
	}
	return nil
}

// wouldKeep tells of a pushed tag that points elsewhere.
func (in *importer) wouldKeep(ctx context.Context, repo mirror.Repo, tag string, d digest.Digest) error {
	now, err := in.service.store.Tag(ctx, repo, tag)
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return err
	}
	if err == nil && now.Origin == mirror.Pushed && now.Digest != d {
		in.reportKept(mirror.Ref{Repo: repo, Tag: tag}, now.Digest, d)
	}
	return nil
}

// keeps tells of a tag that is not moved.
func (in *importer) reportKept(ref mirror.Ref, d, other digest.Digest) {
	kept := KeptTag{Name: ref.String(), Digest: d, Other: other}
	in.summary.Kept = append(in.summary.Kept, kept)
	in.report(Event{Kind: KindKept, Kept: &kept})
}
