package service

import (
	"context"
	"io"
	"strings"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// collect plans a collection and executes the plan, unless the request is a dry run.
func (s *Service) collect(ctx context.Context, req admin.CollectRequest, _ io.Reader, report admin.Report) error {
	opts := s.opts.Collector.Options()
	if err := s.resolveDigests(ctx, req.Evict); err != nil {
		return err
	}
	applyPolicy(&req, &opts.Policy, s.mirror.Names())
	if err := opts.Validate(); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "%w", err)
	}
	if req.DryRun {
		opts.ListBlobs = req.Blobs
		return s.planCollection(ctx, opts, req.Protected, report)
	}
	reporter := report.NewReporter()
	opts.Planned = func(p *gc.Plan) {
		report.Item(admin.KindPlan, p)
		reporter.AddTotal(p.Totals.Bytes)
	}
	result, err := s.opts.Collector.Collect(ctx, opts, func(c gc.Candidate) {
		reporter.AddDone(c.Freed)
		reporter.SetCurrent(c.Name)
		report.Item(outcomeKind(c), c)
	})
	return end(report, reporter, result, err)
}

// outcomeKind returns the kind of the event for an executed candidate.
func outcomeKind(c gc.Candidate) admin.Kind {
	if c.Kept != "" {
		return admin.KindKept
	}
	return admin.KindDeleted
}

// planCollection reports what a collection would delete, and with protected also the images that it would keep.
func (s *Service) planCollection(ctx context.Context, opts gc.Options, protected bool, report admin.Report) error {
	plan, err := s.opts.Collector.Plan(ctx, opts)
	if err != nil {
		return err
	}
	report.Item(admin.KindPlan, plan)
	for candidate := range plan.Candidates() {
		report.Item(admin.KindCandidate, candidate)
	}
	if !protected {
		return nil
	}
	for candidate := range plan.KeptImages() {
		report.Item(admin.KindProtected, candidate)
	}
	return nil
}

// applyPolicy overrides the values of a policy that a request sets.
func applyPolicy(req *admin.CollectRequest, p *gc.Policy, names mirror.Names) {
	setIfGiven(&p.Grace, req.Grace)
	setIfGiven(&p.UploadTTL, req.UploadTTL)
	setIfGiven(&p.DeleteUntagged, req.DeleteUntagged)
	setIfGiven(&p.EvictOffline, req.EvictOffline)
	if req.MaxSize != nil { // the configured ShrinkTo belongs to the configured MaxSize
		p.MaxSize, p.ShrinkTo = *req.MaxSize, 0
	}
	if req.KeepFree != nil {
		p.KeepFree, p.FreeUpTo = *req.KeepFree, gc.Share{}
	}
	setIfGiven(&p.ShrinkTo, req.ShrinkTo)
	setIfGiven(&p.FreeUpTo, req.FreeUpTo)
	all := p.Evict[:len(p.Evict):len(p.Evict)]
	for _, pattern := range req.Evict {
		all = append(all, admin.WithHost(names, pattern))
	}
	p.Evict = all
}

// resolveDigests replaces names with a digest, which may be shortened, by full references.
func (s *Service) resolveDigests(ctx context.Context, names []string) error {
	for i, name := range names {
		if !strings.Contains(name, "@") {
			continue
		}
		ref, err := s.findRef(ctx, name)
		if err != nil {
			return err
		}
		names[i] = ref.String()
	}
	return nil
}

// setIfGiven sets *value to *to, unless to is nil.
func setIfGiven[T any](value *T, to *T) {
	if to != nil {
		*value = *to
	}
}

// Storage returns the storage part of the status.
func (s *Service) Storage(ctx context.Context) (storage admin.Storage, err error) {
	storage.Events = s.opts.Events.Status()
	collection := s.opts.Collector.Status()
	storage.Collection = &collection
	if storage.Imports, err = s.opts.Transfer.PendingImports(ctx); err != nil {
		return storage, err
	}
	storage.Stored, err = s.store.StoredBytes(ctx)
	return storage, err
}
