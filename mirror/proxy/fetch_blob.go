package proxy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// fetchBlobs verifies the stored blobs and downloads the missing ones, as many at a time as the options say. A leaf
// that is not a blob is fetched as a manifest, which may add more blobs.
func (i *imageFetch) fetchBlobs(ctx context.Context) {
	for len(i.missing)+len(i.stored) > 0 {
		i.verifyStored(ctx)
		missing := i.missing
		i.missing = nil
		for _, l := range i.download(ctx, missing) {
			i.fetchAsManifest(ctx, l)
		}
	}
}

// download downloads blobs. It returns those that are no blobs and may be manifests.
func (i *imageFetch) download(ctx context.Context, leaves []leaf) (others []leaf) {
	var group errgroup.Group
	group.SetLimit(i.opts.Parallel)
	for _, l := range leaves {
		group.Go(func() error {
			err := i.fetchBlob(ctx, l.Descriptor)
			reason := err
			if cause := errors.Unwrap(err); cause != nil {
				reason = cause
			}
			switch {
			case err == nil:
			case l.ambiguous && isAbsent(reason):
				i.mu.Lock()
				defer i.mu.Unlock()
				others = append(others, l)
			case !l.optional || !isAbsent(reason):
				i.fail(err)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in failures
	return others
}

// fetchAsManifest fetches a leaf that is no blob.
func (i *imageFetch) fetchAsManifest(ctx context.Context, l leaf) {
	delete(i.walk.seen, l.Digest)
	i.count(-1, l.Size)
	ref := mirror.Ref{Repo: i.repo, Digest: l.Digest}
	man, _, err := i.find(ctx, ref)
	switch {
	case err == nil:
		_ = i.walk.manifest(ctx, man, false) // its errors are in failures
	case !l.optional || !isAbsent(err):
		i.fail(missError(ctx, ref, err))
	}
}

// verifyStored verifies the stored blobs. It discards damaged blobs, which are then downloaded like missing ones. A dry
// run verifies nothing: it must not change the store, and avoids unnecessary reads.
func (i *imageFetch) verifyStored(ctx context.Context) {
	stored := i.stored
	i.stored = nil
	if i.opts.DryRun {
		return
	}
	var group errgroup.Group
	group.SetLimit(i.opts.Parallel)
	for _, l := range stored {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return nil // fetch reports it
			}
			i.opts.Progress.SetCurrent("verifying " + l.Digest.String())
			err := i.store.Verify(ctx, l.Digest)
			if i.content.discard(i.repo, err) == nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				if err != nil {
					i.fail(err)
				}
				return nil
			}
			i.opts.Progress.AddTotal(max(0, l.Size))
			i.mu.Lock()
			defer i.mu.Unlock()
			i.missing = append(i.missing, l)
			return nil
		})
	}
	_ = group.Wait() // errors are in failures
}

// fetchBlob downloads a blob. It occupies one slot of the budget until it returns.
func (i *imageFetch) fetchBlob(ctx context.Context, desc v1.Descriptor) error {
	if i.opts.Budget != nil {
		select {
		case i.opts.Budget <- struct{}{}:
			defer func() { <-i.opts.Budget }()
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ref := mirror.Ref{Repo: i.repo, Digest: desc.Digest}
	if reason := i.routing.fetchable(ctx, i.repo); reason != nil {
		return mirror.MissError(mirror.CodeBlobUnknown, ref, reason)
	}
	if i.opts.DryRun {
		return i.probeBlob(ctx, ref, desc.Size)
	}
	received, err := i.fetcher.download(ctx, ref, desc.Size, i.opts.Progress)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got.New += received
	return nil
}

// download downloads a blob and waits until it is stored. If size is negative, it is unknown, and download adds it to the
// expected bytes of progress. It returns the number of bytes that were transferred.
func (f *fetcher) download(ctx context.Context, ref mirror.Ref, size int64, progress mirror.Progress) (received int64, err error) {
	dl, _, err := f.downloads.subscribe(ctx, ref.Repo, ref.Digest, byCommand)
	if err != nil {
		return 0, err
	}
	defer f.downloads.unsubscribe(dl, byCommand)
	if size < 0 {
		if size, err = dl.waitSize(ctx); err == nil {
			progress.AddTotal(max(0, size))
		}
	}
	if err == nil {
		err = dl.report(ctx, size, progress)
	}
	switch {
	case err == nil:
		return dl.transferred(), nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return 0, mirror.MissError(mirror.CodeBlobUnknown, ref, err)
}

// FetchBlob fetches a blob unless it is stored and intact, for a want that names a blob. progress may be nil.
func (f *fetcher) FetchBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, progress mirror.Progress) error {
	if err := f.tasks.begin(); err != nil {
		return err
	}
	defer f.tasks.done()
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if long, ok := f.routing.longName(ctx, repo); ok {
		repo = long
	}
	if progress == nil {
		progress = mirror.NoProgress{}
	}
	switch stat, err := f.store.StatBlob(ctx, repo, d); {
	case err != nil:
		return err
	case stat.Stored && stat.Linked:
		err := f.store.Verify(ctx, d)
		if err == nil {
			f.wants.remove(repo, d)
		}
		if f.content.discard(repo, err) == nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			return err
		}
	}
	ref := mirror.Ref{Repo: repo, Digest: d}
	if reason := f.routing.fetchable(ctx, repo); reason != nil {
		return mirror.MissError(mirror.CodeBlobUnknown, ref, reason)
	}
	_, err := f.download(ctx, ref, -1, progress)
	if err == nil {
		f.absent.Remove(blobKey(ref))
	}
	return err
}
