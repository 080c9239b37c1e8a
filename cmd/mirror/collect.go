package main

import (
	"context"
	"encoding/json"
	"strings"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// collectRequest asks for a collection by the policy that is configured, but for what it says itself.
type collectRequest struct {
	DryRun bool `json:"dryRun,omitempty"` // make a plan, and tell what would go
	// Blobs and Stays have a dry run tell of the files that go with images, and of images that stay.
	Blobs bool `json:"blobs,omitempty"`
	Stays bool `json:"stays,omitempty"`

	Grace          *gc.Age   `json:"grace,omitempty"`
	Uploads        *gc.Age   `json:"uploads,omitempty"`
	DeleteUntagged *bool     `json:"deleteUntagged,omitempty"`
	MaxSize        *gc.Size  `json:"maxSize,omitempty"`
	ShrinkTo       *gc.Size  `json:"shrinkTo,omitempty"`
	KeepFree       *gc.Share `json:"keepFree,omitempty"`
	FreeUpTo       *gc.Share `json:"freeUpTo,omitempty"`
	EvenOffline    *bool     `json:"evenOffline,omitempty"`
	Evict          []string  `json:"evict,omitempty"` // added to [gc.Policy.Names]
}

// collectLine is a part of the answer to a collection: one of these is set.
type collectLine struct {
	Plan   *gc.Plan      `json:"plan,omitempty"`   // first: what there is to do
	Goes   *gc.Candidate `json:"goes,omitempty"`   // in a dry run
	Stays  *gc.Candidate `json:"stays,omitempty"`  // in a dry run
	Did    *gc.Event     `json:"did,omitempty"`    // what became of an item
	Result *gc.Result    `json:"result,omitempty"` // the last, unless it is a dry run
}

// collect makes a plan, and executes it unless that is all that is asked for.
func (w *works) collect(ctx context.Context, req collectRequest, tell func(any)) error {
	opts := w.collector.Options()
	if err := w.findEvicted(ctx, req.Evict); err != nil {
		return err
	}
	req.apply(&opts.Policy, w.mirror.Names())
	if err := opts.Validate(); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "%w", err)
	}
	if req.DryRun {
		opts.ListBlobs = req.Blobs
		return w.planCollection(ctx, opts, req.Stays, tell)
	}
	opts.Planned = func(p *gc.Plan) { tell(collectLine{Plan: p}) }
	result, err := w.collector.Collect(ctx, opts, func(event gc.Event) { tell(collectLine{Did: &event}) })
	if err == nil {
		tell(collectLine{Result: &result})
	}
	return err
}

// planCollection tells what a collection would do.
func (w *works) planCollection(ctx context.Context, opts gc.Options, stays bool, tell func(any)) error {
	plan, err := w.collector.Plan(ctx, opts)
	if err != nil {
		return err
	}
	tell(collectLine{Plan: plan})
	for item := range plan.Candidates() {
		tell(collectLine{Goes: &item})
	}
	if !stays {
		return nil
	}
	for item := range plan.KeptImages() {
		tell(collectLine{Stays: &item})
	}
	return nil
}

// apply changes a policy to what is asked for.
func (req *collectRequest) apply(p *gc.Policy, names mirror.Names) {
	replace(&p.Grace, req.Grace)
	replace(&p.Uploads, req.Uploads)
	replace(&p.DeleteUntagged, req.DeleteUntagged)
	replace(&p.EvenOffline, req.EvenOffline)
	if req.MaxSize != nil { // the other mark belongs to the one that was configured
		p.MaxSize, p.ShrinkTo = *req.MaxSize, 0
	}
	if req.KeepFree != nil {
		p.KeepFree, p.FreeUpTo = *req.KeepFree, gc.Share{}
	}
	replace(&p.ShrinkTo, req.ShrinkTo)
	replace(&p.FreeUpTo, req.FreeUpTo)
	all := p.Names[:len(p.Names):len(p.Names)]
	for _, pattern := range req.Evict {
		all = append(all, withHost(names, pattern))
	}
	p.Names = all
}

// findEvicted writes out what is named by a digest.
func (w *works) findEvicted(ctx context.Context, names []string) error {
	for i, name := range names {
		if !strings.Contains(name, "@") {
			continue
		}
		ref, err := w.ref(ctx, name)
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

// withHost puts the default host in front of a pattern of repositories that is written without one, as their names are.
func withHost(names mirror.Names, pattern string) string {
	if strings.Contains(pattern, "@") { // it was written out
		return pattern
	}
	pattern, _ = names.Bare(pattern)
	name, _ := splitName(pattern)
	first, _, several := strings.Cut(name, "/")
	if first == "**" || several && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return pattern
	}
	host := names.Default
	if host == "" {
		host = mirror.DockerHub
	}
	if host == mirror.DockerHub && !several {
		pattern = "library/" + pattern
	}
	return host + "/" + pattern
}

// storage says how full the mirror is, and how the collector is doing.
func (w *works) storage(ctx context.Context) (s admin.Storage, err error) {
	s.Events = w.config.events.Status()
	if s.Collection, err = json.Marshal(w.collector.Status()); err != nil {
		return s, err
	}
	waiting, err := w.carrier.Waiting(ctx)
	if err != nil {
		return s, err
	}
	for _, one := range waiting {
		s.Imports = append(s.Imports, admin.WaitingImport(one))
	}
	s.Held, err = w.store.HeldBytes(ctx)
	return s, err
}
