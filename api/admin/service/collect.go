package service

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// collect plans a collection and executes the plan, unless the request is a dry run.
func (s *Service) collect(ctx context.Context, req admin.CollectRequest, _ io.Reader, report admin.Report) error {
	opts := s.opts.Collector.Options()
	if err := s.findEvicted(ctx, req.Evict); err != nil {
		return err
	}
	apply(&req, &opts.Policy, s.mirror.Names())
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
		reporter.Expect(p.Totals.Bytes)
	}
	result, err := s.opts.Collector.Collect(ctx, opts, func(c gc.Candidate) {
		reporter.Did(c.Freed)
		reporter.Doing(c.Name)
		report.Item(outcome(c), c)
	})
	reporter.Close()
	if err == nil {
		report.Summary(result)
	}
	return err
}

// outcome returns the kind of the event for an executed candidate.
func outcome(c gc.Candidate) admin.Kind {
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

// apply changes a policy to what is asked for.
func apply(req *admin.CollectRequest, p *gc.Policy, names mirror.Names) {
	replace(&p.Grace, req.Grace)
	replace(&p.UploadTTL, req.UploadTTL)
	replace(&p.DeleteUntagged, req.DeleteUntagged)
	replace(&p.EvictOffline, req.EvictOffline)
	if req.MaxSize != nil { // the other mark belongs to the one that was configured
		p.MaxSize, p.ShrinkTo = *req.MaxSize, 0
	}
	if req.KeepFree != nil {
		p.KeepFree, p.FreeUpTo = *req.KeepFree, gc.Share{}
	}
	replace(&p.ShrinkTo, req.ShrinkTo)
	replace(&p.FreeUpTo, req.FreeUpTo)
	all := p.Evict[:len(p.Evict):len(p.Evict)]
	for _, pattern := range req.Evict {
		all = append(all, admin.WithHost(names, pattern))
	}
	p.Evict = all
}

// findEvicted writes out what is named by a digest.
func (s *Service) findEvicted(ctx context.Context, names []string) error {
	for i, name := range names {
		if !strings.Contains(name, "@") {
			continue
		}
		ref, err := s.ref(ctx, name)
		if err != nil {
			return err
		}
		names[i] = ref.String()
	}
	return nil
}

// replace sets a value, if there is one.
func replace[T any](value *T, to *T) {
	if to != nil {
		*value = *to
	}
}

// Storage says how full the mirror is, and how the collector is doing.
func (s *Service) Storage(ctx context.Context) (storage admin.Storage, err error) {
	storage.Events = s.opts.Events.Status()
	if storage.Collection, err = json.Marshal(s.opts.Collector.Status()); err != nil {
		return storage, err
	}
	waiting, err := s.opts.Transfer.PendingImports(ctx)
	if err != nil {
		return storage, err
	}
	for _, one := range waiting {
		storage.Imports = append(storage.Imports, admin.WaitingImport(one))
	}
	storage.Stored, err = s.store.StoredBytes(ctx)
	return storage, err
}
