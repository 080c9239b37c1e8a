package transfer

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// maxBatchReferences and maxBatchManifests are at most how many blobs, and how many manifests, are entered in one transaction, but
// for one manifest that points at more.
const (
	maxBatchReferences = 4000
	maxBatchManifests  = 256
)

// carry enters manifests that come in this order, but for those that are there already.
func (in *importer) importManifests(ctx context.Context, list []manifest) error {
	var batch []mirror.ImportedManifest
	points := 0
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
		batch, points = batch[:0], 0
		return nil
	}
	for _, m := range list {
		for i, repo := range m.repos {
			held, err := in.service.store.Manifest(ctx, repo, m.digest)
			if err == nil && held.Origin != mirror.Mirrored && strings.EqualFold(held.MediaType, m.mediaType) {
				continue
			}
			if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
				return err
			}
			if len(batch) == maxBatchManifests || len(batch) > 0 && points+m.references > maxBatchReferences {
				if err := flush(); err != nil {
					return err
				}
			}
			batch = append(batch, mirror.ImportedManifest{Repo: repo, Digest: m.digest, MediaType: m.mediaType, Origin: mirror.Imported, Local: m.local[i], With: m.owned})
			points += m.references
		}
	}
	return flush()
}

// tagsOf are what a reference names d by: its tag, and its digest if it has one.
func tagsOf(ref mirror.Ref, d digest.Digest) (names []mirror.ImportedTag) {
	if ref.Tag != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Tag: ref.Tag, Digest: d, Origin: mirror.Imported})
	}
	if ref.Digest != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Digest: d})
	}
	return names
}

// point points tags and makes roots, all in one transaction, but for tags that point there already.
func (in *importer) pointTags(ctx context.Context, tags []mirror.ImportedTag) error {
	var move []mirror.ImportedTag
	for _, t := range tags {
		if t.Tag == "" {
			move = append(move, t)
			continue
		}
		now, err := in.service.store.Tag(ctx, t.Repo, t.Tag)
		if err == nil && now.Digest == t.Digest && now.Origin != mirror.Mirrored {
			continue
		}
		if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			return err
		}
		move = append(move, t)
	}
	if len(move) == 0 {
		return nil
	}
	kept, err := in.service.store.PointTags(ctx, move, in.req.Overwrite)
	if err != nil {
		return err
	}
	for _, t := range move {
		if t.Tag != "" {
			in.service.mirror.ContentStored(t.Repo, t.Digest, t.Tag)
		}
	}
	for _, t := range kept {
		in.reportKept(mirror.Ref{Repo: t.Repo, Tag: t.Tag}, t.Current, t.Digest)
	}
	return nil
}
