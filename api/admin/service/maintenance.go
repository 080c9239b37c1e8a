package service

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// Find returns the stored reference that a name means. With an error about the digest, it returns the repository.
func (s *Service) Find(ctx context.Context, name string) (mirror.Ref, error) {
	return s.findRef(ctx, name)
}

// findRef parses the name of stored content; see [prefetch.Find]. For a name with a tag and a digest it returns the digest,
// and an error if the tag is stored and points at another digest.
func (s *Service) findRef(ctx context.Context, name string) (mirror.Ref, error) {
	ref, _, err := prefetch.Find(ctx, s.store, s.mirror.Names(), name)
	if err != nil || ref.Tag == "" || ref.Digest == "" {
		return ref, err
	}
	tag, err := s.store.Tag(mirror.WithoutUsage(ctx), ref.Repo, ref.Tag)
	if err == nil {
		err = ref.Check(tag.Digest)
	}
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return ref, err
	}
	ref.Tag = ""
	return ref, nil
}

// pins lists the pins of repositories that the sender of the request may pull.
func (s *Service) pins(ctx context.Context, _ struct{}, _ io.Reader, report admin.Report) error {
	access := admin.AccessOf(ctx)
	pins, err := s.mirror.Pins(ctx)
	for _, pin := range pins {
		if ref, err := mirror.ParseRef(pin.Ref); err != nil || !access.MayPull(ref.Repo) {
			continue
		}
		report.Item(admin.KindPin, pin)
	}
	return err
}

// pin pins the named references.
func (s *Service) pin(ctx context.Context, names []string, _ io.Reader, report admin.Report) error {
	return s.changePins(ctx, names, s.mirror.Pin, report)
}

// unpin removes the pins of the named references.
func (s *Service) unpin(ctx context.Context, names []string, _ io.Reader, report admin.Report) error {
	return s.changePins(ctx, names, s.mirror.Unpin, report)
}

// changePins calls do with the named references.
func (s *Service) changePins(ctx context.Context, names []string, do func(context.Context, ...mirror.Ref) error, report admin.Report) error {
	refs := make([]mirror.Ref, len(names))
	for i, name := range names {
		var err error
		if refs[i], err = s.findRef(ctx, name); err != nil {
			return err
		}
	}
	if err := do(ctx, refs...); err != nil {
		return err
	}
	for _, ref := range refs {
		report.Item(admin.KindPin, mirror.Pin{Ref: ref.String()})
	}
	return nil
}

// usage reports the disk usage of repositories that the sender of the request may pull, the largest first. Only
// administrators see the total.
func (s *Service) usage(ctx context.Context, req admin.UsageRequest, _ io.Reader, report admin.Report) error {
	match, err := admin.MatchRepos(s.mirror.Names(), req.Match)
	if err != nil {
		return err
	}
	access := admin.AccessOf(ctx)
	repos, total, err := gc.Usage(ctx, s.store)
	if err != nil {
		return err
	}
	slices.SortStableFunc(repos, func(a, b gc.RepoUsage) int { return cmp.Compare(b.Bytes, a.Bytes) })
	for _, usage := range repos {
		repo, err := mirror.ParseRepo(usage.Repo)
		if err != nil {
			return err
		}
		if match(repo) && access.MayPull(repo) {
			report.Item(admin.KindRepository, admin.Usage{Name: s.mirror.Names().Served(repo), RepoUsage: usage})
		}
	}
	if len(req.Match) == 0 && access.IsAdmin() {
		report.Summary(admin.Usage{RepoUsage: total})
	}
	return nil
}

// verify checks the stored content and reports each defect.
func (s *Service) verify(ctx context.Context, req admin.VerifyRequest, _ io.Reader, report admin.Report) error {
	reporter := report.NewReporter()
	opts := mirror.VerifyOptions{Fast: req.Fast, Repair: req.Repair, Rate: req.Rate, Progress: reporter}
	summary, err := s.mirror.Verify(ctx, opts, func(event mirror.VerifyEvent) { report.Item(admin.KindDefect, event) })
	if err != nil {
		err = fmt.Errorf("verify the stored content: %w", err)
	}
	return end(report, reporter, summary, err)
}
