package prefetch

import (
	"context"
	"fmt"

	"airmirror/mirror"
)

// task is an image or a blob to fetch.
type task struct {
	ref  mirror.Ref
	blob bool
	want bool // it is only in a want, not among the named images
}

// failure is an image that cannot be fetched, or whose tags could not be checked.
type failure struct {
	image      string
	err        error
	notChecked error
}

// newPlan returns the tasks of a request, and the failures of what cannot be fetched.
func newPlan(ctx context.Context, f Fetcher, req Request) (tasks []task, failures []failure) {
	p := planner{fetcher: f, seen: make(map[task]bool)}
	p.selectors, p.selectorErr = parseSelectors(req)
	for _, name := range req.Images {
		if err := p.image(ctx, name); err != nil {
			p.failures = append(p.failures, failure{image: name, err: err})
		}
	}
	for _, want := range req.Wants {
		ref, err := mirror.ParseRef(want.Ref)
		if err == nil && want.Blob && ref.Digest == "" {
			err = fmt.Errorf("is no blob: it has no digest")
		}
		if err != nil {
			p.failures = append(p.failures, failure{image: want.Ref, err: err})
			continue
		}
		p.add(task{ref, want.Blob, true})
	}
	return p.tasks, p.failures
}

type planner struct {
	fetcher     Fetcher
	selectors   []func(tag string) bool // nil if no tags are selected
	selectorErr error                   // the error in the selectors of the request
	tasks       []task
	seen        map[task]bool // without want
	failures    []failure
}

func (p *planner) add(t task) {
	named := task{ref: t.ref, blob: t.blob}
	if !p.seen[named] {
		p.seen[named] = true
		p.tasks = append(p.tasks, t)
	}
}

func (p *planner) image(ctx context.Context, name string) error {
	ref, d, tagged, err := parseName(p.fetcher.Names(), name)
	if err == nil && d != "" {
		ref.Digest, err = p.fetcher.FindDigest(ctx, ref.Repo, d)
	}
	switch {
	case err != nil:
		return err
	case p.selectorErr != nil:
		return p.selectorErr
	case p.selectors == nil:
		p.add(task{ref: ref})
		return nil
	case tagged:
		return errHasTag
	}
	return p.tags(ctx, name, ref.Repo)
}

// tags adds a task for each selected tag of repo, which the request calls name. It returns an error if there is none. It adds
// a failure if the upstream did not list all tags.
func (p *planner) tags(ctx context.Context, name string, repo mirror.Repo) error {
	all, notChecked, err := listTags(ctx, p.fetcher, repo)
	if err != nil {
		return err
	}
	found := false
	for _, tag := range all {
		if matchesAny(p.selectors, tag) {
			found = true
			p.add(task{ref: mirror.Ref{Repo: repo, Tag: tag}})
		}
	}
	switch {
	case !found && notChecked != nil:
		return fmt.Errorf("has no known tag that is selected: %w", notChecked)
	case !found:
		return fmt.Errorf("has no tag that is selected")
	case notChecked != nil:
		p.failures = append(p.failures, failure{image: name, notChecked: fmt.Errorf("there may be more tags than the stored ones: %w", notChecked)})
	}
	return nil
}
