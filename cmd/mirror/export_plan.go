package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// plan lists the images that a bundle would contain, and those that would be fetched first.
func (e *export) plan() error {
	receipt, err := e.receipt()
	if err != nil {
		return err
	}
	if receipt != nil {
		defer receipt.Close()
	}
	fetched := make(map[string]prefetch.Result)
	for _, event := range e.toFetch {
		fetched[event.Image] = event
	}
	req := e.ExportRequest
	req.SkipMissing = true // images that would be fetched first are missing now
	v := newPlanView(e, fetched)
	err = e.client.Call(e.cmd.Context(), "export-plan", req, receipt, v.event)
	switch nothing := mirror.CodeOf(err) == mirror.CodeManifestUnknown; {
	case nothing && len(fetched) > 0: // all images would be fetched first
		for _, name := range slices.Sorted(maps.Keys(e.reasons)) {
			if err := v.leave(name, e.reasons[name]); err != nil {
				return err
			}
		}
	case err != nil:
		return err
	}
	if err := v.end(); err != nil {
		return err
	}
	if len(e.skippedImages) > 0 && !e.SkipMissing && !e.All && len(e.Wants) == 0 {
		return &exitError{exitMissing, fmt.Errorf("%d of the images cannot be exported, as listed above; --skip-missing exports the rest", len(e.skippedImages))}
	}
	return e.undone("the bundle would not contain them")
}

// planView shows the plan of an export.
type planView struct {
	*export
	view    jobView
	fetched map[string]prefetch.Result // images that would be fetched first and were not shown yet, by name
	table   *table
	result  transfer.Summary
	sparse  []bundle.Image
}

func newPlanView(e *export, fetched map[string]prefetch.Result) *planView {
	v := &planView{export: e, fetched: fetched, view: jobView{out: e.cmd.OutOrStdout(), json: e.json}}
	v.table = newTable(v.view.out, "IMAGE", "PLATFORM", "SIZE", "NEW", "WHY")
	v.view.summary = &v.result
	return v
}

// event shows an event. An image that is fetched first is shown as that.
func (v *planView) event(e admin.Event) error {
	switch e.Kind {
	case admin.KindImage:
		return v.image(e)
	case admin.KindSkipped:
		var skipped admin.Notice
		if err := e.Decode(&skipped); err != nil {
			return err
		}
		if f, found := v.fetched[skipped.Name]; found {
			return v.fetch(f)
		}
		return v.leave(skipped.Name, v.withReason(skipped.Name, skipped.Reason))
	}
	return v.view.event(e)
}

// image shows an image that the bundle would contain.
func (v *planView) image(e admin.Event) error {
	var i bundle.Image
	if err := e.Decode(&i); err != nil {
		return err
	}
	if f, found := v.fetched[imageName(&i)]; found { // a newer version, or more platforms
		return v.fetch(f)
	}
	if v.json {
		return printEvent(v.view.out, e)
	}
	if i.Sparse {
		v.sparse = append(v.sparse, i)
	}
	v.table.row(imageName(&i), cmp.Or(strings.Join(i.Platforms, ","), "-"), size(i.Size), size(i.New), i.Why)
	return nil
}

// fetch shows an image that is fetched first.
func (v *planView) fetch(f prefetch.Result) error {
	delete(v.fetched, f.Image)
	if v.json {
		return printItem(v.view.out, admin.KindFetch, f)
	}
	v.table.row(f.Image, "-", size(f.Fetched.Bytes), "up to "+size(f.Fetched.Bytes), "named, "+size(f.Fetched.New)+" of it fetched first")
	return nil
}

// leave records and shows a skipped image.
func (v *planView) leave(name, reason string) error {
	v.skippedImages = append(v.skippedImages, admin.Notice{Name: name, Reason: reason})
	return v.tell(admin.KindSkipped, name, reason)
}

// tell prints a notice about an image as JSON.
func (v *planView) tell(kind admin.Kind, name, reason string) error {
	if !v.json {
		return nil
	}
	return printItem(v.view.out, kind, admin.Notice{Name: name, Reason: reason})
}

// end shows the images that were not shown yet, and the summary.
func (v *planView) end() error {
	for _, f := range v.toFetch { // without stored images there was no plan
		if _, left := v.fetched[f.Image]; left {
			if err := v.fetch(f); err != nil {
				return err
			}
		}
	}
	for _, l := range v.incomplete() {
		if err := v.tell(admin.KindIncomplete, l.Name, l.Reason); err != nil {
			return err
		}
	}
	for _, l := range v.notChecked {
		if err := v.tell(admin.KindNotChecked, l.Name, l.Reason); err != nil {
			return err
		}
	}
	if v.json {
		return nil
	}
	if err := v.table.Flush(); err != nil {
		return err
	}
	out := v.cmd.OutOrStdout()
	v.printNotDone(out)
	printSparse(out, v.sparse)
	if s := &v.result; v.view.ended {
		text := fmt.Sprintf("%s stored, %s in %s", count(s.Images, "image", "images"), size(s.New), count(s.Manifests+s.Blobs, "file", "files"))
		if s.Assumed > 0 {
			text += fmt.Sprintf("; the destination has %s already", count(s.Assumed, "file", "files"))
		}
		fmt.Fprintf(out, "\n%s\n", text)
	}
	if n := len(v.toFetch); n > 0 {
		var bytes int64
		for _, f := range v.toFetch {
			bytes += f.Fetched.New
		}
		fmt.Fprintf(out, "%s fetched first, %s\n", count(n, "image would be", "images would be"), size(bytes))
	}
	return nil
}
