package prefetch

import (
	"context"
	"errors"
	"slices"
	"sync"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

const (
	// defaultParallel is how many blobs are transferred concurrently by default.
	defaultParallel = 4
	// maxImages is the number of images that are fetched concurrently: while the last blobs of one arrive, the
	// manifests of the next are requested.
	maxImages = 2
)

// errRunEnded is the error of an image that was not begun when the run was canceled.
var errRunEnded = errors.New("not fetched: the run was ended")

// Run fetches the content of a request. It calls report for each image, never concurrently and not after it has returned.
// When ctx is canceled, Run stops soon and reports all images that were not fetched.
func Run(ctx context.Context, f Fetcher, req Request, p *progress.Reporter, report func(Result)) Summary {
	if req.Parallel <= 0 {
		req.Parallel = defaultParallel
	}
	r := &run{fetcher: f, req: req, budget: make(chan struct{}, req.Parallel), Reporter: p, report: report}
	r.summary.Skipped = req.Skipped
	tasks, failures := newPlan(ctx, f, req)
	r.AddTotalItems(len(tasks) + len(failures))
	for _, failed := range failures {
		r.record(failed.image, nil, failed.err, failed.notChecked)
	}
	r.fetchAll(ctx, tasks)
	slices.Sort(r.summary.Failures)
	slices.Sort(r.summary.Unchecked)
	return r.summary
}

// run is a running request. It is safe for concurrent use.
type run struct {
	*progress.Reporter
	report  func(Result)
	fetcher Fetcher
	req     Request
	budget  chan struct{} // one entry for each transfer of a blob

	mu      sync.Mutex
	summary Summary
}

func (r *run) fetchAll(ctx context.Context, tasks []task) {
	next := make(chan task)
	var workers sync.WaitGroup
	for range min(maxImages, len(tasks)) {
		workers.Go(func() {
			for t := range next {
				r.runTask(ctx, t)
			}
		})
	}
	for _, t := range tasks {
		if ctx.Err() == nil {
			select {
			case next <- t:
				continue
			case <-ctx.Done():
			}
		}
		r.record(t.String(), nil, errRunEnded, nil)
	}
	close(next)
	workers.Wait()
}

func (t task) String() string {
	if t.blob {
		return "blob " + t.ref.String()
	}
	return t.ref.String()
}

func (r *run) runTask(ctx context.Context, t task) {
	if ctx.Err() != nil {
		r.record(t.String(), nil, errRunEnded, nil)
		return
	}
	fetched, err := r.fetch(ctx, t)
	if err != nil && ctx.Err() != nil {
		err = errors.New("not all of it was fetched: the run was ended")
	}
	if err != nil && fetched.Digest == "" {
		r.record(t.String(), nil, err, nil)
		return
	}
	r.record(t.String(), &fetched, err, fetched.NotChecked)
}

func (r *run) fetch(ctx context.Context, t task) (mirror.Fetched, error) {
	if !t.blob {
		return r.fetcher.Fetch(ctx, t.ref, mirror.FetchOptions{
			Root: true, SkipChildren: t.want, Platforms: r.req.Platforms, Referrers: r.req.Referrers, Parallel: r.req.Parallel,
			Budget: r.budget, Progress: r.Reporter, DryRun: r.req.DryRun,
		})
	}
	select {
	case r.budget <- struct{}{}:
		defer func() { <-r.budget }()
	case <-ctx.Done():
		return mirror.Fetched{}, ctx.Err()
	}
	r.SetCurrent(t.String())
	if r.req.DryRun {
		size, missing, err := r.fetcher.PeekBlob(ctx, t.ref.Repo, t.ref.Digest)
		if err != nil {
			return mirror.Fetched{}, err
		}
		return mirror.Fetched{Digest: t.ref.Digest, Blobs: 1, Bytes: size, New: missing}, nil
	}
	counted := &totalCounter{Progress: r.Reporter}
	if err := r.fetcher.FetchBlob(ctx, t.ref.Repo, t.ref.Digest, counted); err != nil {
		return mirror.Fetched{}, err
	}
	return mirror.Fetched{Digest: t.ref.Digest, Blobs: 1, Bytes: counted.total, New: counted.total}, nil
}

// totalCounter records how many bytes of a blob were expected. It is for one goroutine.
type totalCounter struct {
	mirror.Progress
	total int64
}

func (c *totalCounter) AddTotal(bytes int64) {
	c.total += bytes
	c.Progress.AddTotal(bytes)
}

// record records and reports the result of an image. fetched is nil if nothing was fetched.
func (r *run) record(image string, fetched *mirror.Fetched, err, notChecked error) {
	result := Result{Image: image, Fetched: fetched}
	if notChecked != nil {
		result.NotChecked = reason(image, notChecked)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Images++
	if fetched != nil {
		r.summary.Bytes += fetched.Bytes
		r.summary.New += fetched.New
	}
	switch {
	case err != nil:
		result.Error = reason(image, err)
		r.summary.Failed++
		r.summary.Failures = append(r.summary.Failures, image+": "+result.Error)
	case notChecked != nil:
		r.summary.NotChecked++
		r.summary.Unchecked = append(r.summary.Unchecked, image+": "+result.NotChecked)
	}
	r.report(result)
	r.AddItem()
}
