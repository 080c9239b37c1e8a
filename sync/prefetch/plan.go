package prefetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"airmirror/mirror"
)

// job is one image, or one blob, that is to be fetched.
type task struct {
	ref  mirror.Ref
	blob bool
	// wanted: a client asked for it, and nobody named it.
	want bool
}

// failure is something that cannot be fetched, or whose tags could not be asked for, and why.
type failure struct {
	image      string
	err        error
	notChecked error
}

// plan finds out what the request means: what to fetch, and what cannot be.
func newPlan(ctx context.Context, f Fetcher, req Request) (jobs []task, failures []failure) {
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
	return p.jobs, p.failures
}

var errHasTag = errors.New("has a tag or digest, and tags are to be selected: leave it out, or select none")

type planner struct {
	fetcher     Fetcher
	selectors   []func(tag string) bool // nil if no tags are selected
	selectorErr error                   // what is wrong with what selects them
	jobs        []task
	seen        map[task]bool // as they were named
	failures    []failure
}

func (p *planner) add(j task) {
	named := task{ref: j.ref, blob: j.blob}
	if !p.seen[named] {
		p.seen[named] = true
		p.jobs = append(p.jobs, j)
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

// pageSize is how many tags are asked for at a time.
const pageSize = 1000

// tags adds the tags of repo, the image called name, that are selected. It is an error if there are none. If the upstream
// could not be asked for all of them, it notes so.
func (p *planner) tags(ctx context.Context, name string, repo mirror.Repo) error {
	ctx = mirror.WithFullLists(ctx)
	var notChecked error
	found := false
	for after := ""; ; {
		page, err := p.fetcher.Tags(ctx, repo, after, pageSize)
		if ctx.Err() != nil {
			return errRunEnded
		}
		if err != nil {
			return err
		}
		notChecked = cmp.Or(page.Stale, page.Refused, notChecked)
		for _, tag := range page.Items {
			if after = tag; matchesAny(p.selectors, tag) {
				found = true
				p.add(task{ref: mirror.Ref{Repo: repo, Tag: tag}})
			}
		}
		if len(page.Items) < pageSize {
			break
		}
	}
	switch {
	case !found && notChecked != nil:
		return fmt.Errorf("has no tag that is selected, as far as is known: %w", notChecked)
	case !found:
		return fmt.Errorf("has no tag that is selected")
	case notChecked != nil:
		p.failures = append(p.failures, failure{image: name, notChecked: fmt.Errorf("there may be more tags than the stored ones: %w", notChecked)})
	}
	return nil
}

func matchesAny(choose []func(string) bool, tag string) bool {
	for _, ok := range choose {
		if ok(tag) {
			return true
		}
	}
	return false
}

// selectors reads what selects tags.
func parseSelectors(req Request) (choose []func(string) bool, err error) {
	if req.AllTags {
		choose = append(choose, func(string) bool { return true })
	}
	for _, s := range req.Tags {
		ok, err := parseSelector(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("cannot select tags by %q: %w", s, err)
		}
		choose = append(choose, ok)
	}
	return choose, nil
}

var missingVersion = regexp.MustCompile(`[<>=!~^]\s*[xX*]`)

// selector reads a glob, or a range of versions: that has an operator in front, or a space or || in it.
func parseSelector(s string) (func(tag string) bool, error) {
	if s == "" {
		return nil, fmt.Errorf("it is empty")
	}
	if !strings.ContainsRune("<>=!~^", rune(s[0])) && !strings.ContainsAny(s, " ,|") {
		_, err := path.Match(s, "")
		return func(tag string) bool { ok, _ := path.Match(s, tag); return ok }, err
	}
	if missingVersion.MatchString(s) { // a wildcard, which every version is within
		return nil, fmt.Errorf("an operator has no version after it")
	}
	within, err := semver.NewConstraint(s)
	if err != nil {
		return nil, err
	}
	return func(tag string) bool {
		version, ok := versionOf(tag)
		return ok && within.Check(version)
	}, nil
}

// versionOf reads a tag as a version: v1.4.2, or 1.21 and 22.04, which stand for those with a zero at the end. A number
// alone is more often a date or a build than a version, and would be above every range.
func versionOf(tag string) (*semver.Version, bool) {
	numbers := strings.TrimPrefix(tag, "v")
	if i := strings.IndexAny(numbers, "-+"); i >= 0 {
		numbers = numbers[:i]
	}
	if !strings.Contains(numbers, ".") {
		return nil, false
	}
	version, err := semver.NewVersion(tag)
	return version, err == nil
}
