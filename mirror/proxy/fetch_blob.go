package proxy

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// part is something that a manifest names, to be fetched as a blob.
type part struct {
	v1.Descriptor      // the size is -1 if that is not known
	either        bool // it may be a manifest instead
	optional      bool // it is no failure if nobody has it
}

func (f *fetch) blob(ctx context.Context, p part) {
	if f.seen[p.Digest] {
		return
	}
	f.seen[p.Digest] = true
	stat, err := f.m.store.StatBlob(ctx, f.repo, p.Digest)
	switch {
	case err != nil:
		f.fail(err)
	case !stat.Stored || !stat.Linked:
		f.missing = append(f.missing, p)
		if !f.opts.DryRun {
			f.opts.Progress.Expect(max(0, p.Size))
		}
	default:
		if p.Size < 0 {
			p.Size = stat.Size
		}
		f.unchecked = append(f.unchecked, p)
	}
	f.count(1, p.Size)
}

// count counts blobs.
func (f *fetch) count(n int, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got.Blobs += n
	f.got.Bytes += int64(n) * max(0, size)
}

// either fetches what may be a blob or a manifest: as what it is stored, or as what its media type says. Where there is
// none, the other one is tried.
func (f *fetch) either(ctx context.Context, p part) {
	if f.seen[p.Digest] {
		return
	}
	if man, err := f.m.stored(ctx, f.repo, p.Digest); err == nil {
		f.manifest(ctx, man, false)
		return
	}
	if p.MediaType != "" && mirror.LooksLikeManifest(p.MediaType) && !f.isStored(ctx, p.Digest) {
		man, _, err := f.find(ctx, mirror.Ref{Repo: f.repo, Digest: p.Digest})
		if err == nil {
			f.manifest(ctx, man, false)
			return
		}
	}
	f.blob(ctx, p)
}

// isStored reports whether a blob is stored and readable.
func (f *fetch) isStored(ctx context.Context, d digest.Digest) bool {
	stat, err := f.m.store.StatBlob(ctx, f.repo, d)
	return err == nil && stat.Stored && stat.Linked
}

// isBlob reports whether there is a blob of that digest, here or upstream.
func (f *fetch) isBlob(ctx context.Context, d digest.Digest) bool {
	if f.isStored(ctx, d) {
		return true
	}
	if f.m.mayFetch(ctx, f.repo) != nil {
		return false
	}
	_, err := f.m.askBlob(ctx, f.repo, d)
	return err == nil
}

// absent reports whether err says that something does not exist; also of a repository for which nobody is asked.
func absent(err error) bool {
	return mirror.Definitive(err) && mirror.CodeOf(err) != mirror.CodeDenied || errors.Is(err, errLocal)
}

// blobs fetches what is missing, in as many transfers at a time as was asked for. What turns out not to be a blob may be a
// manifest, which brings more blobs.
func (f *fetch) blobs(ctx context.Context) {
	for len(f.missing)+len(f.unchecked) > 0 {
		f.check(ctx)
		missing := f.missing
		f.missing = nil
		for _, p := range f.blobsOnce(ctx, missing) {
			f.asManifest(ctx, p)
		}
	}
}

// blobsOnce returns those of the parts that are no blobs and may be manifests.
func (f *fetch) blobsOnce(ctx context.Context, parts []part) (others []part) {
	var group errgroup.Group
	group.SetLimit(f.opts.Parallel)
	for _, p := range parts {
		group.Go(func() error {
			err := f.transfer(ctx, p.Descriptor)
			why := err
			if cause := errors.Unwrap(err); cause != nil {
				why = cause
			}
			switch {
			case err == nil:
			case p.either && absent(why):
				f.mu.Lock()
				defer f.mu.Unlock()
				others = append(others, p)
			case !p.optional || !absent(why):
				f.fail(err)
			}
			return nil
		})
	}
	_ = group.Wait() // failures are gathered
	return others
}

// asManifest fetches what is no blob.
func (f *fetch) asManifest(ctx context.Context, p part) {
	delete(f.seen, p.Digest)
	f.count(-1, p.Size)
	ref := mirror.Ref{Repo: f.repo, Digest: p.Digest}
	man, _, err := f.find(ctx, ref)
	switch {
	case err == nil:
		f.manifest(ctx, man, false)
	case !p.optional || !absent(err):
		f.fail(f.unheld(ctx, ref, err))
	}
}

// check verifies the blobs that are stored. What is damaged is missing from then on. A dry run changes nothing, and reads
// no more than it needs.
func (f *fetch) check(ctx context.Context) {
	unchecked := f.unchecked
	f.unchecked = nil
	if f.opts.DryRun {
		return
	}
	var group errgroup.Group
	group.SetLimit(f.opts.Parallel)
	for _, p := range unchecked {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return nil // which the caller sees
			}
			f.opts.Progress.Doing("verifying " + p.Digest.String())
			err := f.m.store.Verify(ctx, p.Digest)
			if f.m.heal(f.repo, err) == nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				if err != nil {
					f.fail(err)
				}
				return nil
			}
			f.opts.Progress.Expect(max(0, p.Size))
			f.mu.Lock()
			defer f.mu.Unlock()
			f.missing = append(f.missing, p)
			return nil
		})
	}
	_ = group.Wait() // failures are gathered
}

func (f *fetch) transfer(ctx context.Context, desc v1.Descriptor) error {
	if f.opts.Budget != nil {
		select {
		case f.opts.Budget <- struct{}{}:
			defer func() { <-f.opts.Budget }()
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ref := mirror.Ref{Repo: f.repo, Digest: desc.Digest}
	if why := f.m.mayFetch(ctx, f.repo); why != nil {
		return mirror.MissError(mirror.CodeBlobUnknown, ref, why)
	}
	if f.opts.DryRun {
		size := desc.Size
		if size < 0 { // nor is it known that there is one
			var err error
			if size, err = f.m.askBlob(ctx, f.repo, desc.Digest); err != nil {
				return mirror.MissError(mirror.CodeBlobUnknown, ref, err)
			}
		}
		f.mu.Lock()
		f.got.New += max(0, size)
		f.mu.Unlock()
		return nil
	}
	flight, _, err := f.m.fly(ctx, f.repo, desc.Digest, leaves)
	if err != nil {
		return err
	}
	defer f.m.flights.leave(flight, leaves)
	size := desc.Size
	if size < 0 {
		if size, err = flight.sized(ctx); err == nil {
			f.opts.Progress.Expect(max(0, size))
		}
	}
	if err == nil {
		err = flight.follow(ctx, size, f.opts.Progress)
	}
	switch {
	case err == nil:
		f.mu.Lock()
		f.got.New += flight.brought()
		f.mu.Unlock()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return mirror.MissError(mirror.CodeBlobUnknown, ref, err)
}

// FetchBlob sees to it that a blob is held, for a want that names one. progress may be nil.
func (m *Proxy) FetchBlob(ctx context.Context, repo mirror.Repo, d digest.Digest, progress mirror.Progress) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.work.Done()
	ctx = mirror.Background(mirror.WithoutUsage(ctx))
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	if progress == nil {
		progress = mirror.NoProgress{}
	}
	switch stat, err := m.store.StatBlob(ctx, repo, d); {
	case err != nil:
		return err
	case stat.Stored && stat.Linked:
		err := m.store.Verify(ctx, d)
		if err == nil {
			m.wants.fulfilled(repo, d)
		}
		if m.heal(repo, err) == nil && mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			return err
		}
	}
	ref := mirror.Ref{Repo: repo, Digest: d}
	if why := m.mayFetch(ctx, repo); why != nil {
		return mirror.MissError(mirror.CodeBlobUnknown, ref, why)
	}
	flight, _, err := m.fly(ctx, repo, d, leaves)
	if err != nil {
		return err
	}
	defer m.flights.leave(flight, leaves)
	size, err := flight.sized(ctx)
	if err == nil {
		progress.Expect(size)
		err = flight.follow(ctx, size, progress)
	}
	if err != nil && ctx.Err() == nil {
		return mirror.MissError(mirror.CodeBlobUnknown, ref, err)
	}
	if err == nil {
		m.unknown.Remove(unknownBlob(ref))
	}
	return err
}
