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
	// defaultParallel is how many blobs are transferred at a time, if the request does not say.
	defaultParallel = 4
	// maxImages is how many images are worked on at a time: while the last blobs of one arrive, the manifests of the
	// next are asked for.
	maxImages = 2
)

// errRunEnded is why an image failed that was not begun when the run was ended.
var errRunEnded = errors.New("not fetched: the run was ended")

// Run fetches what the request names and tells what happens; tell is never called twice at the same time, nor after Run
// has returned. Run ends soon after ctx does, and says of everything that was left that it was.
func Run(ctx context.Context, f Fetcher, req Request, tell func(Event)) Summary {
	if req.Parallel <= 0 {
		req.Parallel = defaultParallel
	}
	r := &run{fetcher: f, req: req, budget: make(chan struct{}, req.Parallel), report: tell}
	r.Reporter = progress.New(func() { r.emit(Event{Kind: KindProgress}) })
	r.summary.Skipped = req.Skipped
	jobs, failures := newPlan(ctx, f, req)
	r.emit(Event{Kind: KindPlan, Total: int64(len(jobs) + len(failures))})
	for _, failed := range failures {
		r.record(failed.image, nil, failed.err, failed.notChecked)
	}
	r.fetchAll(ctx, jobs)
	slices.Sort(r.summary.Failures)
	slices.Sort(r.summary.Unchecked)
	r.Reporter.Close()
	r.emit(Event{Kind: KindDone, Summary: &r.summary})
	return r.summary
}

// run is one request being worked on.
type run struct {
	*progress.Reporter
	report  func(Event)
	fetcher Fetcher
	req     Request
	budget  chan struct{} // one place for each transfer of a blob

	mu      sync.Mutex
	summary Summary
}

func (r *run) fetchAll(ctx context.Context, jobs []task) {
	next := make(chan task)
	var workers sync.WaitGroup
	for range min(maxImages, len(jobs)) {
		workers.Go(func() {
			for j := range next {
				r.runTask(ctx, j)
			}
		})
	}
	for _, j := range jobs {
		if ctx.Err() == nil {
			select {
			case next <- j:
				continue
			case <-ctx.Done():
			}
		}
		r.record(j.String(), nil, errRunEnded, nil)
	}
	close(next)
	workers.Wait()
}

func (j task) String() string {
	if j.blob {
		return "blob " + j.ref.String()
	}
	return j.ref.String()
}

func (r *run) runTask(ctx context.Context, j task) {
	if ctx.Err() != nil {
		r.record(j.String(), nil, errRunEnded, nil)
		return
	}
	fetched, err := r.fetch(ctx, j)
	if err != nil && ctx.Err() != nil {
		err = errors.New("not all of it was fetched: the run was ended")
	}
	if err != nil && fetched.Digest == "" {
		r.record(j.String(), nil, err, nil)
		return
	}
	r.record(j.String(), &fetched, err, fetched.NotChecked)
}

func (r *run) fetch(ctx context.Context, j task) (mirror.Fetched, error) {
	if !j.blob {
		return r.fetcher.Fetch(ctx, j.ref, mirror.FetchOptions{
			Root: true, SkipChildren: j.want, Platforms: r.req.Platforms, Referrers: r.req.Referrers, Parallel: r.req.Parallel,
			Budget: r.budget, Progress: r.Reporter, DryRun: r.req.DryRun,
		})
	}
	select {
	case r.budget <- struct{}{}:
		defer func() { <-r.budget }()
	case <-ctx.Done():
		return mirror.Fetched{}, ctx.Err()
	}
	r.Doing(j.String())
	if r.req.DryRun {
		size, missing, err := r.fetcher.PeekBlob(ctx, j.ref.Repo, j.ref.Digest)
		if err != nil {
			return mirror.Fetched{}, err
		}
		return mirror.Fetched{Digest: j.ref.Digest, Blobs: 1, Bytes: size, New: missing}, nil
	}
	counted := &expectCounter{Progress: r.Reporter}
	if err := r.fetcher.FetchBlob(ctx, j.ref.Repo, j.ref.Digest, counted); err != nil {
		return mirror.Fetched{}, err
	}
	return mirror.Fetched{Digest: j.ref.Digest, Blobs: 1, Bytes: counted.expected, New: counted.expected}, nil
}

// counter remembers how much was expected, which only one goroutine says of a single blob.
type expectCounter struct {
	mirror.Progress
	expected int64
}

func (c *expectCounter) Expect(bytes int64) {
	c.expected += bytes
	c.Progress.Expect(bytes)
}

// ended notes what became of an image. fetched is nil if nothing is known of it.
func (r *run) record(image string, fetched *mirror.Fetched, err, notChecked error) {
	event := Event{Kind: KindImage, Image: image, Fetched: fetched}
	if notChecked != nil {
		event.NotChecked = reason(image, notChecked)
	}
	r.mu.Lock()
	r.summary.Images++
	if fetched != nil {
		r.summary.Bytes += fetched.Bytes
		r.summary.New += fetched.New
	}
	switch {
	case err != nil:
		event.Error = reason(image, err)
		r.summary.Failed++
		r.summary.Failures = append(r.summary.Failures, image+": "+event.Error)
	case notChecked != nil:
		r.summary.NotChecked++
		r.summary.Unchecked = append(r.summary.Unchecked, image+": "+event.NotChecked)
	}
	r.mu.Unlock()
	r.emit(event)
}
