package transfer

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// batchPoints and batchManifests are at most how many blobs, and how many manifests, are entered in one transaction, but
// for one manifest that points at more.
const (
	batchPoints    = 4000
	batchManifests = 256
)

// carry enters manifests that come in this order, but for those that are there already.
func (in *importing) carry(ctx context.Context, list []manifest) error {
	var batch []mirror.ImportedManifest
	points := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := in.c.store.ImportManifests(ctx, batch); err != nil {
			return err
		}
		for _, m := range batch {
			in.c.mirror.ContentStored(m.Repo, m.Digest)
		}
		batch, points = batch[:0], 0
		return nil
	}
	for _, m := range list {
		for i, repo := range m.repos {
			held, err := in.c.store.Manifest(ctx, repo, m.digest)
			if err == nil && held.Origin != mirror.Mirrored && strings.EqualFold(held.MediaType, m.mediaType) {
				continue
			}
			if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
				return err
			}
			if len(batch) == batchManifests || len(batch) > 0 && points+m.points > batchPoints {
				if err := flush(); err != nil {
					return err
				}
			}
			batch = append(batch, mirror.ImportedManifest{Repo: repo, Digest: m.digest, MediaType: m.mediaType, Origin: mirror.Imported, Local: m.local[i], With: m.with})
			points += m.points
		}
	}
	return flush()
}

// namesOf are what a reference names d by: its tag, and its digest if it has one.
func namesOf(ref mirror.Ref, d digest.Digest) (names []mirror.ImportedTag) {
	if ref.Tag != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Tag: ref.Tag, Digest: d, Origin: mirror.Imported})
	}
	if ref.Digest != "" {
		names = append(names, mirror.ImportedTag{Repo: ref.Repo, Digest: d})
	}
	return names
}

// point points tags and makes roots, all in one transaction, but for tags that point there already.
func (in *importing) point(ctx context.Context, tags []mirror.ImportedTag) error {
	var move []mirror.ImportedTag
	for _, t := range tags {
		if t.Tag == "" {
			move = append(move, t)
			continue
		}
		now, err := in.c.store.Tag(ctx, t.Repo, t.Tag)
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
	kept, err := in.c.store.PointTags(ctx, move, in.req.Overwrite)
	if err != nil {
		return err
	}
	for _, t := range move {
		if t.Tag != "" {
			in.c.mirror.ContentStored(t.Repo, t.Digest, t.Tag)
		}
	}
	for _, t := range kept {
		in.keeps(mirror.Ref{Repo: t.Repo, Tag: t.Tag}, t.Current, t.Digest)
	}
	return nil
}
