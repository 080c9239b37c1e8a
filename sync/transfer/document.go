package transfer

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// manifest is a manifest that is imported to repositories.
type manifest struct {
	digest    digest.Digest
	mediaType string
	repos     []mirror.Repo
	local     []bool // parallel to repos: created by a push at the source
	// The inspection sets the following fields.
	index      bool
	references int             // number of digests that it names
	children   []digest.Digest // manifests of the bundle among these
	owned      []digest.Digest // content of the bundle that it names and does not need
}

// digestsOf returns all digests in a document.
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

// entriesOf yields the manifests and blobs of a bundle with their sizes.
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

// listManifests reads the manifests from the document. It rejects documents that contradict themselves.
func (in *importer) listManifests() error {
	doc := in.doc
	if !mirror.ValidTag(doc.Source) || doc.Destination != "" && !mirror.ValidTag(doc.Destination) || doc.Sequence < 1 || doc.ID == "" {
		return mirror.Errorf(mirror.CodeBundleInvalid, "the source, destination, number or ID of the bundle is invalid")
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

// checkImages rejects images without a manifest, and tags that are listed twice.
func checkImages(images []bundle.Image, entered map[place]bool) error {
	tags := make(map[mirror.Ref]bool, len(images))
	for _, image := range images {
		repo, err := mirror.ParseRepo(image.Repository)
		if err != nil {
			return mirror.Errorf(mirror.CodeBundleInvalid, "image of the bundle: %w", err)
		}
		ref := mirror.Ref{Repo: repo, Tag: image.Tag, Digest: image.Digest}
		if image.Tag != "" {
			ref.Digest = ""
		}
		switch {
		case image.Tag != "" && !mirror.ValidTag(image.Tag):
			return mirror.Errorf(mirror.CodeBundleInvalid, "%q is not a tag", image.Tag)
		case !entered[place{repo, image.Digest}]:
			return mirror.Errorf(mirror.CodeBundleInvalid, "the bundle does not list the manifest of %s", ref)
		case tags[ref]:
			return mirror.Errorf(mirror.CodeBundleInvalid, "the bundle lists %s twice", ref)
		}
		tags[ref] = true
	}
	return nil
}

// preview reports what would be imported.
func (in *importer) preview(ctx context.Context) error {
	for i := range in.doc.Images {
		image := &in.doc.Images[i]
		in.reportImage(image)
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

// wouldKeep reports a pushed tag that refers to another manifest.
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

// reportKept reports a tag that is not moved.
func (in *importer) reportKept(ref mirror.Ref, d, other digest.Digest) {
	kept := KeptTag{Name: ref.String(), Digest: d, Other: other}
	in.summary.Kept = append(in.summary.Kept, kept)
	in.report(Event{Kind: KindKept, Kept: &kept})
}
