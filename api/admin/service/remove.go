package service

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/gc"
	"airmirror/mirror"
)

// remove deletes the named images. Only administrators may remove pinned images.
func (s *Service) remove(ctx context.Context, req admin.RemoveRequest, _ io.Reader, report admin.Report) error {
	if req.Force {
		if err := admin.AccessOf(ctx).Check(registry.Admin, mirror.Repo{}); err != nil {
			return err
		}
	}
	refs, err := s.findRefs(ctx, req.Names)
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
	planned := make(map[string]int64) // bytes to free, by name
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
		report.Item(outcomeKind(c), c)
	})
	s.opts.Events.Sync(ctx)
	if err != nil {
		return err
	}
	sum.Tags, sum.Manifests, sum.Freed = result.Tags, result.Manifests, result.Bytes
	sum.Later = max(0, sum.Later-sum.Freed)
	report.Summary(sum)
	return nil
}

// planRemoval plans a removal. Unless it is a dry run, it removes the pins of the images that the plan deletes.
func (s *Service) planRemoval(ctx context.Context, removal gc.Removal, dryRun bool) (*gc.Plan, error) {
	plan, err := gc.MakeRemoval(ctx, s.store, removal, s.store.Now())
	pins := (*gc.PinnedError)(nil)
	if errors.As(err, &pins) {
		return nil, mirror.Errorf(mirror.CodeDenied, "%s: unpin it first, or use --force", pins)
	}
	if err == nil && !dryRun && len(plan.Pins) > 0 {
		err = s.mirror.Unpin(ctx, plan.Pins...)
	}
	return plan, err
}

// findRefs resolves names and patterns to references that the sender of the request may delete, without duplicates. A name
// without a tag does not mean latest here, so that only named tags are deleted.
func (s *Service) findRefs(ctx context.Context, names []string) (refs []mirror.Ref, err error) {
	for _, name := range names {
		if admin.IsPattern(name) {
			matching, err := s.matchRefs(ctx, name)
			if err != nil {
				return nil, err
			}
			refs = append(refs, matching...)
			continue
		}
		ref, err := s.findRef(ctx, name)
		if denied := admin.AccessOf(ctx).Check(registry.Delete, ref.Repo); denied != nil && ref.Repo != (mirror.Repo{}) {
			return nil, denied // whether it is stored or not
		}
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b mirror.Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(refs), nil
}

// matchRefs returns the stored tags that match a pattern. The repository part of the pattern has the syntax of
// [mirror.Match].
func (s *Service) matchRefs(ctx context.Context, pattern string) (refs []mirror.Ref, err error) {
	repoPattern, tagPattern := admin.SplitTag(pattern)
	access := admin.AccessOf(ctx)
	for repo, err := range mirror.AllRepos(ctx, s.store) {
		if err != nil {
			return nil, err
		}
		if !s.matchesRepo(repoPattern, repo) || !access.MayPull(repo) {
			continue
		}
		for tag, err := range mirror.AllTags(ctx, s.store, repo) {
			if err != nil {
				return nil, err
			}
			if ok, _ := path.Match(tagPattern, tag); ok { // the pattern was checked before
				if err := access.Check(registry.Delete, repo); err != nil {
					return nil, err
				}
				refs = append(refs, mirror.Ref{Repo: repo, Tag: tag})
			}
		}
	}
	if len(refs) == 0 {
		return nil, mirror.Errorf(mirror.CodeManifestUnknown, "no stored tag matches %q", pattern)
	}
	return refs, nil
}

// matchesRepo reports whether a pattern matches any of the names of a repository.
func (s *Service) matchesRepo(pattern string, repo mirror.Repo) bool {
	names := s.mirror.Names()
	if bare, own := names.Bare(pattern); own && s.matchesRepo(bare, repo) {
		return true
	}
	served := names.Served(repo)
	short, library := strings.CutPrefix(served, "library/")
	return mirror.Match(pattern, served) || mirror.Match(pattern, repo.String()) ||
		library && repo.Host == mirror.DockerHub && mirror.Match(pattern, short)
}

// emitRemoved records an event for each tag that was removed, or for a manifest without a tag.
func (s *Service) emitRemoved(ctx context.Context, item gc.Candidate) {
	if item.Kind != gc.Image && item.Kind != gc.Manifest && item.Kind != gc.Tag {
		return
	}
	ref, err := mirror.ParseRef(item.Name)
	if err != nil {
		return
	}
	actor := admin.UserOf(ctx)
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
