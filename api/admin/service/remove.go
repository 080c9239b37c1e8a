package service

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// remove takes out what is named.
func (s *Service) remove(ctx context.Context, req admin.RemoveRequest, _ io.Reader, report admin.Report) error {
	refs, err := s.named(ctx, req.Names)
	if err != nil {
		return err
	}
	plan, err := s.planRemoval(ctx, gc.Removal{Refs: refs, Now: req.Now, IncludePinned: req.Force}, req.DryRun)
	if err != nil {
		return err
	}
	if req.DryRun {
		for item := range plan.Candidates() {
			report.Item(admin.KindCandidate, item)
		}
		report.Summary(admin.RemoveSummary{Tags: plan.Totals.Tags, Manifests: plan.Totals.Manifests, Later: plan.Totals.Bytes})
		return nil
	}
	sum := admin.RemoveSummary{Later: plan.Totals.Bytes}
	planned := make(map[string]int64) // bytes, by name
	for item := range plan.Candidates() {
		planned[item.Name] = item.Freed
	}
	result, err := plan.Execute(ctx, s.store, func(c gc.Candidate) {
		if c.Kept != "" {
			sum.Kept++
			sum.Later -= planned[c.Name]
		} else {
			s.emitRemoved(ctx, c)
		}
		report.Item(outcome(c), c)
	})
	if err != nil {
		return err
	}
	sum.Tags, sum.Manifests, sum.Freed = result.Tags, result.Manifests, result.Bytes
	sum.Later = max(0, sum.Later-sum.Freed)
	report.Summary(sum)
	return nil
}

// planRemoval plans a removal. Pins of what is to go even so are taken back, unless it is only to be said what would go.
func (s *Service) planRemoval(ctx context.Context, removal gc.Removal, dryRun bool) (*gc.Plan, error) {
	plan, err := gc.MakeRemoval(ctx, s.store, removal, s.store.Now())
	pins := (*gc.PinnedError)(nil)
	if errors.As(err, &pins) {
		return nil, mirror.Errorf(mirror.CodeDenied, "%s: unpin it, or remove it all the same with --force", pins)
	}
	if err == nil && !dryRun && len(plan.Pins) > 0 {
		err = s.mirror.Unpin(ctx, plan.Pins...)
	}
	return plan, err
}

// named returns the references that names and patterns mean, each once. Who removes names what is removed: there is no
// tag that is meant if none is said.
func (s *Service) named(ctx context.Context, names []string) (refs []mirror.Ref, err error) {
	for _, name := range names {
		if admin.IsPattern(name) {
			matching, err := s.matching(ctx, name)
			if err != nil {
				return nil, err
			}
			refs = append(refs, matching...)
			continue
		}
		ref, err := s.ref(ctx, name)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b mirror.Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs), nil
}

// namesPage is how many repositories or tags are read at a time.
const namesPage = 256

// matching lists the tags that a pattern means: of repositories by [mirror.Match], with a host or as they are served.
func (s *Service) matching(ctx context.Context, pattern string) (refs []mirror.Ref, err error) {
	repoPattern, tagPattern := admin.SplitTag(pattern)
	for after := ""; ; {
		repos, err := s.store.Repos(ctx, after, namesPage)
		if err != nil {
			return nil, err
		}
		for _, repo := range repos {
			after = repo.String()
			if !s.means(repoPattern, repo) {
				continue
			}
			if refs, err = s.matchingTags(ctx, repo, tagPattern, refs); err != nil {
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
func (s *Service) means(pattern string, repo mirror.Repo) bool {
	names := s.mirror.Names()
	if bare, own := names.Bare(pattern); own && s.means(bare, repo) {
		return true
	}
	served := names.Served(repo)
	short, library := strings.CutPrefix(served, "library/")
	return mirror.Match(pattern, served) || mirror.Match(pattern, repo.String()) ||
		library && repo.Host == mirror.DockerHub && mirror.Match(pattern, short)
}

// matchingTags adds the tags of a repository that match to refs.
func (s *Service) matchingTags(ctx context.Context, repo mirror.Repo, pattern string, refs []mirror.Ref) ([]mirror.Ref, error) {
	for after := ""; ; {
		tags, err := s.store.Tags(ctx, repo, after, namesPage)
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

// emitRemoved has events made of what a command removed: of each tag, or of a manifest that had none.
func (s *Service) emitRemoved(ctx context.Context, item gc.Candidate) {
	if item.Kind != gc.Image && item.Kind != gc.Manifest && item.Kind != gc.Tag {
		return
	}
	ref, err := mirror.ParseRef(item.Name)
	if err != nil {
		return
	}
	actor := admin.PeerUser(ctx)
	if item.Kind == gc.Manifest {
		s.opts.Events.Removed(ctx, actor, mirror.Ref{Repo: ref.Repo, Digest: item.Digest})
		return
	}
	if item.Kind == gc.Tag {
		item.Tags = []string{ref.Tag}
	}
	for _, tag := range item.Tags {
		s.opts.Events.Removed(ctx, actor, mirror.Ref{Repo: ref.Repo, Tag: tag, Digest: item.Digest})
	}
}
