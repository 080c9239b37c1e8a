package proxy

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// defaultParallel is [mirror.FetchOptions.Parallel] if it is 0.
const defaultParallel = 4

// fetcher fetches complete images from upstreams.
type fetcher struct {
	store     mirror.Store
	upstream  *upstreamSwitch
	content   *content
	routing   *routing
	calls     *callGroup
	absent    absentCache
	manifests *manifests
	downloads *downloads
	lists     *lists
	backfill  *backfill
	writes    *writes
	wants     *wants
	tasks     *tasks
	// ignoreNondistributable is [Options.IgnoreNondistributable].
	ignoreNondistributable bool
}

// Fetch fetches every manifest and blob of an image that is not stored, after it asked the upstream what a tag points at
// now. An image that is complete already needs no upstream: images of local repositories can be fetched, and so can stored
// tags that the upstream does not confirm; [mirror.Fetched.NotChecked] says why then.
//
// With a tag and a digest, the upstream is asked for the digest and the tag is pointed at it. A tag that was pushed and
// points elsewhere is not moved, which is an error.
//
// Fetch continues after a failure and returns all errors. Failures add no wants, since those are for clients.
func (f *fetcher) Fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
	if err := f.tasks.begin(); err != nil {
		return mirror.Fetched{}, err
	}
	defer f.tasks.done()
	if long, ok := f.routing.longName(ctx, ref.Repo); ok {
		ref.Repo = long
	}
	return f.fetch(ctx, ref, opts)
}

func (f *fetcher) fetch(ctx context.Context, ref mirror.Ref, opts mirror.FetchOptions) (mirror.Fetched, error) {
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if opts.Parallel == 0 {
		opts.Parallel = defaultParallel
	}
	if opts.Progress == nil {
		opts.Progress = mirror.NoProgress{}
	}
	platforms, err := mirror.ParsePlatforms(opts.Platforms)
	if err != nil {
		return mirror.Fetched{}, err
	}
	i := &imageFetch{fetcher: f, repo: ref.Repo, opts: opts, platforms: platforms}
	i.walk = newWalk(i)
	opts.Progress.SetCurrent(ref.String())
	root, notChecked, err := i.find(ctx, ref)
	if err != nil {
		return mirror.Fetched{}, missError(ctx, ref, err)
	}
	i.got.Digest, i.got.NotChecked = root.Digest, notChecked
	_ = i.walk.manifest(ctx, root, true) // its errors are in failures
	err = i.platformError(ref)
	if err == nil {
		err = i.setNames(ctx, ref, root)
	}
	if err != nil {
		i.fail(err)
	}
	i.fetchBlobs(ctx)
	if err := ctx.Err(); err != nil {
		i.fail(err)
	}
	if len(i.failures) == 0 && !opts.DryRun {
		f.backfill.imageFetched(i.repo, i.walk.seen)
		f.wants.remove(i.repo, root.Digest, ref.Tag)
		for d := range i.walk.seen { // also those that were stored before, for another repository
			f.wants.remove(i.repo, d)
		}
	}
	return i.got, errors.Join(i.failures...)
}

// fetchManifest fetches one manifest unless it is stored.
func (f *fetcher) fetchManifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	man, _, err := (&imageFetch{fetcher: f, repo: ref.Repo}).find(ctx, ref)
	return man, err
}

// missError returns the error for a manifest that find did not find.
func missError(ctx context.Context, ref mirror.Ref, reason error) error {
	if ctx.Err() != nil || isStoreError(reason) {
		return reason
	}
	return mirror.MissError(mirror.CodeManifestUnknown, ref, reason)
}

// imageFetch is the fetch of one image. A walk fetches its manifests and collects its blobs, which are then fetched
// together.
type imageFetch struct {
	*fetcher
	repo    mirror.Repo
	opts    mirror.FetchOptions
	walk    *walk
	missing []leaf // blobs to download
	stored  []leaf // blobs to verify
	// platforms are those to fetch, declined the other ones of the image. accepted says that something of one of the
	// platforms was found.
	platforms mirror.Platforms
	declined  []string
	accepted  bool

	mu       sync.Mutex // guards the rest while blobs are fetched
	got      mirror.Fetched
	failures []error
}

// fail adds an error.
func (i *imageFetch) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.failures = append(i.failures, err)
}

// count adds n blobs of a size to the result.
func (i *imageFetch) count(n int, size int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got.Blobs += n
	i.got.Bytes += int64(n) * max(0, size)
}

// isStored reports whether blob d is stored and readable.
func (i *imageFetch) isStored(ctx context.Context, d digest.Digest) bool {
	stat, err := i.store.StatBlob(ctx, i.repo, d)
	return err == nil && stat.Stored && stat.Linked
}

// setNames points the names at an image that its upstream does not: the image of a digest becomes a root, and a tag beside
// the digest points at it.
func (i *imageFetch) setNames(ctx context.Context, ref mirror.Ref, man mirror.Manifest) error {
	if ref.Digest == "" || !i.opts.Root || i.opts.DryRun {
		return nil
	}
	if err := i.writes.allowed(); err != nil {
		return mirror.Errorf(mirror.CodeOf(err), "%s cannot be stored: %w", ref, err)
	}
	if ref.Tag != "" {
		if err := i.setTag(ctx, ref, man); err != nil {
			return err
		}
	}
	_, err := i.store.PointTags(ctx, []mirror.ImportedTag{{Repo: ref.Repo, Digest: man.Digest, SkipChildren: i.opts.SkipChildren}}, false)
	return err
}

// setTag points the tag of a reference at the image of its digest. It stays until the tag is revalidated.
func (i *imageFetch) setTag(ctx context.Context, ref mirror.Ref, man mirror.Manifest) (err error) {
	if man.Origin == mirror.Mirrored {
		err = i.store.PutManifest(ctx, ref.Repo, man, ref.Tag)
	} else {
		_, err = i.store.PointTags(ctx, []mirror.ImportedTag{{Repo: ref.Repo, Tag: ref.Tag, Digest: man.Digest, Origin: man.Origin}}, false)
	}
	if err != nil {
		return err
	}
	tag, err := i.store.Tag(ctx, ref.Repo, ref.Tag)
	if err == nil && tag.Digest != man.Digest {
		err = mirror.Errorf(mirror.CodeDenied, "tag %s was pushed here and points at %s, not at %s: it is not moved", ref.Tag, tag.Digest, man.Digest)
	}
	if err == nil {
		i.wants.ContentStored(ref.Repo, man.Digest, ref.Tag)
	}
	return err
}
