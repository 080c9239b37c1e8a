package main

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"airmirror/gc"
	"airmirror/mirror"
)

// removeRequest names what is to be removed.
type removeRequest struct {
	Names  []string `json:"names"`            // of tags and digests, or patterns of tags
	Now    bool     `json:"now,omitempty"`    // its files as well, see [gc.Removal]
	Force  bool     `json:"force,omitempty"`  // even if it is pinned
	DryRun bool     `json:"dryRun,omitempty"` // only say what would go
}

// removeLine is a part of the answer to a removal: one of these is set.
type removeLine struct {
	Item *gc.Event      `json:"item,omitempty"` // that was removed, or kept after all
	Done *removeSummary `json:"done,omitempty"`
}

// removeSummary is what came of a removal.
type removeSummary struct {
	Tags      int   `json:"tags"`
	Manifests int   `json:"manifests"`
	Freed     int64 `json:"freed"` // bytes
	Later     int64 `json:"later"` // bytes that a collection frees
	Kept      int   `json:"kept,omitempty"`
}

// remove takes out what is named.
func (w *works) remove(ctx context.Context, req removeRequest, tell func(any)) error {
	refs, err := w.named(ctx, req.Names)
	if err != nil {
		return err
	}
	plan, err := w.planRemoval(ctx, gc.Removal{Refs: refs, Now: req.Now, IncludePinned: req.Force}, req.DryRun)
	if err != nil {
		return err
	}
	if req.DryRun {
		for item := range plan.Candidates() {
			tell(removeLine{Item: &gc.Event{Candidate: item}})
		}
		tell(removeLine{Done: &removeSummary{Tags: plan.Totals.Tags, Manifests: plan.Totals.Manifests, Later: plan.Totals.Bytes}})
		return nil
	}
	sum := removeSummary{Later: plan.Totals.Bytes}
	planned := make(map[string]int64) // bytes, by name
	for item := range plan.Candidates() {
		planned[item.Name] = item.Freed
	}
	result, err := plan.Execute(ctx, w.store, func(event gc.Event) {
		if event.Kept != "" {
			sum.Kept++
			sum.Later -= planned[event.Name]
		} else {
			w.tellRemoved(ctx, event.Candidate)
		}
		tell(removeLine{Item: &event})
	})
	if err != nil {
		return err
	}
	sum.Tags, sum.Manifests, sum.Freed = result.Tags, result.Manifests, result.Bytes
	sum.Later = max(0, sum.Later-sum.Freed)
	tell(removeLine{Done: &sum})
	return nil
}

// planRemoval plans a removal. Pins of what is to go even so are taken back, unless it is only to be said what would go.
func (w *works) planRemoval(ctx context.Context, removal gc.Removal, dryRun bool) (*gc.Plan, error) {
	plan, err := gc.MakeRemoval(ctx, w.store, removal, w.store.Now())
	pins := (*gc.PinnedError)(nil)
	if errors.As(err, &pins) {
		return nil, mirror.Errorf(mirror.CodeDenied, "%s: unpin it, or remove it all the same with --force", pins)
	}
	if err == nil && !dryRun && len(plan.Pins) > 0 {
		err = w.mirror.Unpin(ctx, plan.Pins...)
	}
	return plan, err
}

// named returns the references that names and patterns mean, each once. Who removes names what is removed: there is no
// tag that is meant if none is said.
func (w *works) named(ctx context.Context, names []string) (refs []mirror.Ref, err error) {
	for _, name := range names {
		if isPattern(name) {
			matching, err := w.matching(ctx, name)
			if err != nil {
				return nil, err
			}
			refs = append(refs, matching...)
			continue
		}
		ref, err := w.ref(ctx, name)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b mirror.Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs), nil
}

// isPattern reports whether a name has characters in it that stand for others.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// splitName splits a name into that of the repository and the tag, which is "" if there is none.
func splitName(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// namesPage is how many repositories or tags are read at a time.
const namesPage = 256

// matching lists the tags that a pattern means: of repositories by [mirror.Match], with a host or as they are served.
func (w *works) matching(ctx context.Context, pattern string) (refs []mirror.Ref, err error) {
	repoPattern, tagPattern := splitName(pattern)
	for after := ""; ; {
		repos, err := w.store.Repos(ctx, after, namesPage)
		if err != nil {
			return nil, err
		}
		for _, repo := range repos {
			after = repo.String()
			if !w.means(repoPattern, repo) {
				continue
			}
			if refs, err = w.matchingTags(ctx, repo, tagPattern, refs); err != nil {
				return nil, err
			}
		}
		if len(repos) < namesPage {
			break
		}
	}
	if len(refs) == 0 {
		return nil, mirror.Errorf(mirror.CodeManifestUnknown, "nothing is held that %q matches", pattern)
	}
	return refs, nil
}

// means reports whether a pattern is one of a repository, by any of its names.
func (w *works) means(pattern string, repo mirror.Repo) bool {
	names := w.mirror.Names()
	if bare, own := names.Bare(pattern); own && w.means(bare, repo) {
		return true
	}
	served := names.Served(repo)
	short, library := strings.CutPrefix(served, "library/")
	return mirror.Match(pattern, served) || mirror.Match(pattern, repo.String()) ||
		library && repo.Host == mirror.DockerHub && mirror.Match(pattern, short)
}

// matchingTags adds the tags of a repository that match to refs.
func (w *works) matchingTags(ctx context.Context, repo mirror.Repo, pattern string, refs []mirror.Ref) ([]mirror.Ref, error) {
	for after := ""; ; {
		tags, err := w.store.Tags(ctx, repo, after, namesPage)
		if err != nil {
			return nil, err
		}
		for _, tag := range tags {
			after = tag
			if ok, _ := path.Match(pattern, tag); ok { // it was tried before
				refs = append(refs, mirror.Ref{Repo: repo, Tag: tag})
			}
		}
		if len(tags) < namesPage {
			return refs, nil
		}
	}
}
