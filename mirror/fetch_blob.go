package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

func (f *fetch) blob(ctx context.Context, desc v1.Descriptor) {
	if f.seen[desc.Digest] {
		return
	}
	f.seen[desc.Digest] = true
	f.got.Blobs++
	f.got.Bytes += desc.Size
	stat, err := f.m.store.StatBlob(ctx, f.repo, desc.Digest)
	switch {
	case err != nil:
		f.fail(err)
	case !stat.Held || !stat.Linked:
		f.missing = append(f.missing, desc)
		if !f.opts.DryRun {
			f.opts.Progress.Expect(desc.Size)
		}
	}
}

// blobs fetches what is missing, in as many transfers at a time as was asked for.
func (f *fetch) blobs(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(f.opts.Parallel)
	for _, desc := range f.missing {
		group.Go(func() error {
			if err := f.transfer(ctx, desc); err != nil {
				f.fail(err)
			}
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
	ref := Ref{Repo: f.repo, Digest: desc.Digest}
	if why := f.m.mayFetch(ctx, f.repo); why != nil {
		return unheld(CodeBlobUnknown, ref, why)
	}
	if f.opts.DryRun {
		f.mu.Lock()
		f.got.New += desc.Size
		f.mu.Unlock()
		return nil
	}
	flight, _, err := f.m.fly(ctx, f.repo, desc.Digest, leaves)
	if err != nil {
		return err
	}
	defer f.m.flights.leave(flight, leaves)
	err = flight.follow(ctx, desc.Size, f.opts.Progress)
	switch {
	case err == nil:
		f.mu.Lock()
		f.got.New += flight.brought()
		f.mu.Unlock()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return unheld(CodeBlobUnknown, ref, err)
}

// FetchBlob sees to it that a blob is held, for a want that names one. progress may be nil.
func (m *Mirror) FetchBlob(ctx context.Context, repo Repo, d digest.Digest, progress Progress) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.work.Done()
	ctx = Look(ctx)
	if long, ok := m.longName(ctx, repo); ok {
		repo = long
	}
	if progress == nil {
		progress = NoProgress{}
	}
	switch stat, err := m.store.StatBlob(ctx, repo, d); {
	case err != nil:
		return err
	case stat.Held && stat.Linked:
		m.wants.fulfilled(repo, d)
		return nil
	}
	ref := Ref{Repo: repo, Digest: d}
	if why := m.mayFetch(ctx, repo); why != nil {
		return unheld(CodeBlobUnknown, ref, why)
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
		return unheld(CodeBlobUnknown, ref, err)
	}
	if err == nil {
		m.unknown.Remove(unknownBlob(ref))
	}
	return err
}
