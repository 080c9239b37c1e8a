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

// collect makes a plan, and executes it unless that is all that is asked for.
func (s *Service) collect(ctx context.Context, req admin.CollectRequest, _ io.Reader, send func(any)) error {
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
		return s.planCollection(ctx, opts, req.Protected, send)
	}
	opts.Planned = func(p *gc.Plan) { send(admin.CollectLine{Plan: p}) }
	result, err := s.opts.Collector.Collect(ctx, opts, func(c gc.Candidate) { send(admin.CollectLine{Outcome: &c}) })
	if err == nil {
		send(admin.CollectLine{Result: &result})
	}
	return err
}

// planCollection tells what a collection would do.
func (s *Service) planCollection(ctx context.Context, opts gc.Options, stays bool, send func(any)) error {
	plan, err := s.opts.Collector.Plan(ctx, opts)
	if err != nil {
		return err
	}
	send(admin.CollectLine{Plan: plan})
	for item := range plan.Candidates() {
		send(admin.CollectLine{Candidate: &item})
	}
	if !stays {
		return nil
	}
	for item := range plan.KeptImages() {
		send(admin.CollectLine{Protected: &item})
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
	storage.Held, err = s.store.StoredBytes(ctx)
	return storage, err
}
