package proxy

import (
	"context"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// content reads what is stored. Content that turns out to be damaged or missing is discarded: from then on it is a miss,
// and a client that pushes it is not told that it need not.
type content struct {
	store mirror.Store
	tasks *tasks
	// replace fetches content again that was discarded. It is called in a task, when clients have been answered.
	replace func(mirror.Defect)
	// detached limits the blobs that are verified without a client.
	detached chan struct{}
	log      *zap.Logger
}

// taggedManifest is a manifest with the tag that it was found by.
type taggedManifest struct {
	mirror.Manifest
	tag mirror.Tag
}

// lookup returns the stored manifest of a tag or digest.
func (c *content) lookup(ctx context.Context, ref mirror.Ref) (found taggedManifest, err error) {
	if ref.Digest == "" {
		if found.tag, err = c.store.Tag(ctx, ref.Repo, ref.Tag); err != nil {
			return found, err
		}
		ref.Digest = found.tag.Digest
	}
	found.Manifest, err = c.manifest(ctx, ref.Repo, ref.Digest)
	return found, err
}

// manifest returns a stored manifest. If it is damaged or missing, the error is that of a miss, with a
// [mirror.DefectError] as its cause.
func (c *content) manifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Manifest, error) {
	man, err := c.store.Manifest(ctx, repo, d)
	if err != nil {
		c.discard(repo, err)
	}
	return man, err
}

// stat returns what is stored of blob d in repo. Unlike the method of the store it checks the file.
func (c *content) stat(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.BlobStat, error) {
	stat, err := c.store.StatBlob(ctx, repo, d)
	if err != nil || !stat.Stored || !stat.Linked {
		return stat, err
	}
	if c.check(ctx, repo, d) {
		return stat, nil
	}
	return c.store.StatBlob(ctx, repo, d)
}

// check checks that the file of a stored blob exists, and verifies a small one. It reports whether the blob is intact,
// and discards it if it is not.
func (c *content) check(ctx context.Context, repo mirror.Repo, d digest.Digest) bool {
	size, err := c.store.StatContent(ctx, d)
	if err == nil && size <= smallBlob {
		err = c.store.Verify(ctx, d)
	}
	return c.discard(repo, err) == nil
}

// discard discards the content that err is a defect of. It returns the defect, or nil if err is none.
func (c *content) discard(repo mirror.Repo, err error) *mirror.Defect {
	defect := mirror.DefectOf(err)
	if defect == nil {
		return nil
	}
	log := c.log.With(zap.Stringer("repo", repo), zap.Stringer("digest", defect.Digest), zap.Bool("manifest", defect.Manifest))
	log.Warn("stored content is damaged or missing: fetching it again if possible", zap.String("why", defect.Reason))
	if _, err := c.store.Repair(c.tasks.ctx, *defect); err != nil && c.tasks.ctx.Err() == nil {
		log.Error("cannot discard damaged content", zap.Error(err))
	}
	return defect
}

// DiscardDamaged discards content that err reports as damaged or missing, so that it is a miss from then on. It reports
// whether err is such an error.
func (c *content) DiscardDamaged(err error) bool { return c.discard(mirror.Repo{}, err) != nil }
