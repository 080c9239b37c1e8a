package migrate

import (
	"context"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

const (
	// defaultParallel is how many blobs are read concurrently by default.
	defaultParallel = 4
	// folderWorkers and registryWorkers are how many repositories are read concurrently: one worker reads manifests while
	// another reads blobs. A registry has a longer latency.
	folderWorkers   = 2
	registryWorkers = 4
)

// storeAs is how content is stored.
type storeAs struct {
	origin mirror.Origin
	local  bool // new repositories are local
}

// run is one migration. It is safe for concurrent use.
type run struct {
	*progress.Reporter
	report  func(Event)
	store   Store
	names   mirror.Names
	req     Request
	source  source
	storeAs storeAs
	slots   chan struct{} // one for each blob that is read
	calls   singleflight.Group
	// conflicts are the reasons why tags of repositories with several names are skipped, by name:tag. They are constant
	// after findConflicts.
	conflicts map[string]error

	mu      sync.Mutex
	summary Summary
}

func newRun(store Store, names mirror.Names, req Request, from source, as storeAs, p *progress.Reporter, report func(Event)) *run {
	if req.Parallel <= 0 {
		req.Parallel = defaultParallel
	}
	return &run{
		Reporter: p, report: report, store: store, names: names, req: req, source: from, storeAs: as,
		slots: make(chan struct{}, req.Parallel), conflicts: make(map[string]error),
	}
}

// do migrates the repositories, several concurrently.
func (r *run) do(ctx context.Context, workers int) (Summary, error) {
	names, err := r.repositories(ctx)
	if err == nil {
		r.AddTotalItems(len(names))
		if err = r.findConflicts(ctx, names); err == nil {
			err = r.visitRepositories(ctx, names, workers)
		}
	}
	return r.summary, err
}

// repositories returns the names of the requested repositories, sorted. It reports patterns that match none.
func (r *run) repositories(ctx context.Context) ([]string, error) {
	skipped := make(map[string]bool)
	names, err := r.source.repositories(ctx, func(name string, err error) {
		skipped[name] = true
		r.skip(name, err)
	})
	if err != nil {
		return nil, err
	}
	for _, pattern := range r.req.Repos {
		if !skipped[pattern] && !slices.ContainsFunc(names, func(name string) bool { return mirror.Match(pattern, name) }) {
			r.skip(pattern, mirror.Errorf(mirror.CodeNameUnknown, "there is no such repository"))
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return len(r.req.Repos) > 0 && !mirror.MatchAny(r.req.Repos, name)
	})
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (r *run) visitRepositories(ctx context.Context, names []string, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan string)
	group.Go(func() error {
		defer close(next)
		for _, name := range names {
			select {
			case next <- name:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			b := &batch{run: r}
			for name := range next {
				if err := b.visitRepository(ctx, name); err != nil {
					return err
				}
			}
			return b.flush(ctx)
		})
	}
	return group.Wait()
}

// skip reports that something was skipped.
func (r *run) skip(name string, err error) {
	r.count(func(s *Summary) { s.Skipped++ })
	r.emit(Event{Kind: KindSkipped, Name: name, Error: err.Error()})
}

// emit reports an event. It serializes the calls of report.
func (r *run) emit(event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(event)
}

// count changes the summary.
func (r *run) count(f func(s *Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.summary)
}

// ensureBlob makes sure that a blob of a repository is stored.
func (r *run) ensureBlob(ctx context.Context, name string, b blob) error {
	for {
		size, err := r.store.StatContent(ctx, b.digest)
		if err == nil && size == b.size {
			err = r.store.Verify(ctx, b.digest) // a damaged blob is replaced
		}
		switch {
		case err == nil && size != b.size:
			return errSize(b, size)
		case err == nil:
			return nil
		case mirror.CodeOf(err) != mirror.CodeBlobUnknown:
			return &storeError{err}
		}
		fetchedFor, err, _ := r.calls.Do(b.digest.String(), func() (any, error) { return name, r.fetch(ctx, name, b) })
		if err == nil || fetchedFor == name {
			return err
		} // the fetch was for another repository, which does not have the blob; this one may
	}
}

// errSize returns the error for a blob whose size differs from the one in its manifest.
func errSize(b blob, size int64) error {
	return mirror.Errorf(mirror.CodeManifestInvalid, "blob %s has %d bytes, not %d as its manifest says", b.digest, size, b.size)
}

// ensureOwned stores content that a manifest of a repository names, if the repository has that content at the source.
func (r *run) ensureOwned(ctx context.Context, name string, b blob) error {
	_, err := r.store.StatContent(ctx, b.digest)
	switch {
	case err == nil:
		return r.source.has(ctx, name, b.digest)
	case mirror.CodeOf(err) != mirror.CodeBlobUnknown:
		return &storeError{err}
	}
	if f, ok := r.source.(*folder); ok { // fetch does not check the repository
		if err := f.has(ctx, name, b.digest); err != nil {
			return err
		}
	}
	_, err, _ = r.calls.Do(b.digest.String()+" "+name, func() (any, error) { return nil, r.fetch(ctx, name, b) })
	return err
}

func (r *run) fetch(ctx context.Context, name string, b blob) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.SetCurrent(name + "@" + b.digest.String())
	linked, err := r.source.fetch(ctx, name, b)
	if err != nil {
		return err
	}
	if b.size < 0 {
		if b.size, err = r.store.StatContent(ctx, b.digest); err != nil {
			return &storeError{err}
		}
	}
	r.count(func(s *Summary) {
		s.Blobs++
		s.Bytes += b.size
		if linked {
			s.Linked += b.size
		}
	})
	return nil
}

// repository is the state of a repository that is being migrated.
type repository struct {
	name      string // at the source
	repo      mirror.Repo
	manifests map[digest.Digest]outcome
	tags      int // that point at the same digest as at the source
	migrated  int // manifests
	skipped   int
}
