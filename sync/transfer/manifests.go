package transfer

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// maxBatchReferences and maxBatchManifests limit the references and the manifests of one transaction. A single manifest may
// have more references.
const (
	maxBatchReferences = 4000
	maxBatchManifests  = 256
)

// importManifests imports manifests in this order. It skips those that are already imported or pushed.
func (in *importer) importManifests(ctx context.Context, list []manifest) error {
	var batch []mirror.ImportedManifest
	references := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := in.service.store.ImportManifests(ctx, batch); err != nil {
			return err
		}
		for _, m := range batch {
			in.service.mirror.ContentStored(m.Repo, m.Digest)
		}
		batch, references = batch[:0], 0
		return nil
	}
	for _, m := range list {
		for i, repo := range m.repos {
			stored, err := in.service.store.Manifest(ctx, repo, m.digest)
			if err == nil && stored.Origin != mirror.Mirrored && strings.EqualFold(stored.MediaType, m.mediaType) {
				continue
			}
			if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
				return err
			}
			if len(batch) == maxBatchManifests || len(batch) > 0 && references+m.references > maxBatchReferences {
				if err := flush(); err != nil {
					return err
				}
			}
			batch = append(batch, mirror.ImportedManifest{Repo: repo, Digest: m.digest, MediaType: m.mediaType, Origin: mirror.Imported, Local: m.local[i], With: m.owned})
			references += m.references
		}
	}
	return flush()
}

// tagsOf returns what a reference with the digest d sets: its tag, and a root if the reference has a digest.
func tagsOf(ref mirror.Ref, d digest.Digest) (names []mirror.ImportedTag) {
	if ref.Tag != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Tag: ref.Tag, Digest: d, Origin: mirror.Imported})
	}
	if ref.Digest != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Digest: d})
	}
	return names
}

// pointTags sets tags and roots in one transaction. It skips tags that already refer to the same manifest.
func (in *importer) pointTags(ctx context.Context, tags []mirror.ImportedTag) error {
	var changed []mirror.ImportedTag
	for _, t := range tags {
		if t.Tag == "" {
			changed = append(changed, t)
			continue
		}
		now, err := in.service.store.Tag(ctx, t.Repo, t.Tag)
		if err == nil && now.Digest == t.Digest && now.Origin != mirror.Mirrored {
			continue
		}
		if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			return err
		}
		changed = append(changed, t)
	}
	if len(changed) == 0 {
		return nil
	}
	kept, err := in.service.store.PointTags(ctx, changed, in.req.Overwrite)
	if err != nil {
		return err
	}
	for _, t := range changed {
		if t.Tag != "" {
			in.service.mirror.ContentStored(t.Repo, t.Digest, t.Tag)
		}
	}
	for _, t := range kept {
		in.reportKept(mirror.Ref{Repo: t.Repo, Tag: t.Tag}, t.Current, t.Digest)
	}
	return nil
}
