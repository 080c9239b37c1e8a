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
	// defaultParallel is how many blobs are read at a time, if the request does not say.
	defaultParallel = 4
	// folderWorkers and liveWorkers are how many repositories are worked on at a time: one has its manifests read while
	// another's blobs are. A registry lets its clients wait.
	folderWorkers = 2
	liveWorkers   = 4
)

// entry is how content enters the mirror.
type importAs struct {
	origin mirror.Origin
	local  bool
}

// run is one request being worked on.
type run struct {
	*progress.Reporter
	report   func(Event)
	store    Store
	names    mirror.Names
	req      Request
	source   source
	importAs importAs
	slots    chan struct{} // one place for each blob that is read
	calls    singleflight.Group
	// conflicts are why tags of names that meet are not taken, by name:tag. They are not changed during the work.
	conflicts map[string]error

	mu      sync.Mutex
	summary Summary
}

func newRun(store Store, names mirror.Names, req Request, p source, how importAs, tell func(Event)) *run {
	if req.Parallel <= 0 {
		req.Parallel = defaultParallel
	}
	r := &run{
		report: tell, store: store, names: names, req: req, source: p, importAs: how,
		slots: make(chan struct{}, req.Parallel), conflicts: make(map[string]error),
	}
	r.Reporter = progress.New(func() { r.emit(Event{Kind: KindProgress}) })
	return r
}

// do works on the repositories, several at a time.
func (r *run) do(ctx context.Context, workers int) (Summary, error) {
	told := make(map[string]bool)
	names, err := r.source.repositories(ctx, func(name string, err error) {
		told[name] = true
		r.skip(name, err)
	})
	if err == nil {
		for _, pattern := range r.req.Repos {
			if !told[pattern] && !slices.ContainsFunc(names, func(name string) bool { return mirror.Match(pattern, name) }) {
				r.skip(pattern, mirror.Errorf(mirror.CodeNameUnknown, "there is no such repository"))
			}
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return len(r.req.Repos) > 0 && !mirror.MatchAny(r.req.Repos, name)
		})
		slices.Sort(names)
		names = slices.Compact(names)
		r.emit(Event{Kind: KindPlan, Total: int64(len(names))})
		if err = r.findConflicts(ctx, names); err == nil {
			err = r.visitRepositories(ctx, names, workers)
		}
	}
	r.Close()
	r.emit(Event{Kind: KindDone, Summary: &r.summary})
	return r.summary, err
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

// leave says that something was left out.
func (r *run) skip(what string, err error) {
	r.mu.Lock()
	r.summary.Skipped++
	r.mu.Unlock()
	r.emit(Event{Kind: KindSkipped, Name: what, Error: err.Error()})
}

// count changes the summary.
func (r *run) count(f func(s *Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.summary)
}

// obtain sees to it that a blob of a repository is held.
func (r *run) ensureBlob(ctx context.Context, name string, b blob) error {
	for {
		size, err := r.store.StatContent(ctx, b.digest)
		if err == nil && size == b.size {
			err = r.store.Verify(ctx, b.digest) // what is damaged is replaced
		}
		switch {
		case err == nil && size != b.size:
			return mirror.Errorf(mirror.CodeManifestInvalid, "blob %s has %d bytes, not %d as its manifest says", b.digest, size, b.size)
		case err == nil:
			return nil
		case mirror.CodeOf(err) != mirror.CodeBlobUnknown:
			return &storeError{err}
		}
		by, err, _ := r.calls.Do(b.digest.String(), func() (any, error) { return name, r.fetch(ctx, name, b) })
		if err == nil || by == name {
			return err
		} // another repository does not have it, this one may
	}
}

// own sees to it that what a manifest of a repository names is stored, if that repository has it at the place.
func (r *run) ensureOwned(ctx context.Context, name string, b blob) error {
	_, err := r.store.StatContent(ctx, b.digest)
	switch {
	case err == nil:
		return r.source.has(ctx, name, b.digest)
	case mirror.CodeOf(err) != mirror.CodeBlobUnknown:
		return &storeError{err}
	}
	if f, ok := r.source.(*folder); ok { // its content is not kept by repository
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
	r.Doing(name + "@" + b.digest.String())
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

// repository is one being worked on.
type repository struct {
	name      string // at the place
	repo      mirror.Repo
	manifests map[digest.Digest]outcome
	tags      int // that point at what they do at the place
	imported  int // manifests
	skipped   int
}
