package main

import (
	"fmt"
	"time"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// imagesView shows a sync of images.
type imagesView struct {
	*jobView
	began  time.Time
	dryRun bool
	result prefetch.Summary
}

// newImagesView returns a view of a sync.
func newImagesView(v *jobView, dryRun bool) *imagesView {
	view := &imagesView{jobView: v, began: time.Now(), dryRun: dryRun}
	view.label, view.item, view.summary = countItems("images"), view.handle, &view.result
	return view
}

// handle returns the line for an item.
func (v *imagesView) handle(e admin.Event) (string, error) {
	if e.Kind == admin.KindDropped {
		return itemText(e)
	}
	var image prefetch.Result
	err := e.Decode(&image)
	return v.imageLine(image), err
}

func (v *imagesView) imageLine(e prefetch.Result) string {
	switch {
	case e.Error != "" && e.NotChecked != "":
		return fmt.Sprintf("%s: missing: %s; and not checked: %s", e.Image, e.Error, e.NotChecked)
	case e.Error != "":
		return fmt.Sprintf("%s: missing: %s", e.Image, e.Error)
	case e.NotChecked != "" && e.Fetched == nil:
		return fmt.Sprintf("%s: not checked: %s", e.Image, e.NotChecked)
	case e.NotChecked != "" && v.dryRun:
		return fmt.Sprintf("%s: not checked: %s; %s", e.Image, e.NotChecked, wouldText(e.Fetched))
	case e.NotChecked != "":
		return fmt.Sprintf("%s: not checked: %s; the stored copy is complete, %s, %s", e.Image, e.NotChecked, size(e.Fetched.Bytes), newText(e.Fetched.New))
	case v.dryRun:
		return fmt.Sprintf("%s: %s", e.Image, wouldText(e.Fetched))
	}
	return fmt.Sprintf("%s: complete, %s, %s", e.Image, size(e.Fetched.Bytes), newText(e.Fetched.New))
}

// wouldText returns what a sync would fetch of an image.
func wouldText(f *mirror.Fetched) string {
	if f.New == 0 {
		return fmt.Sprintf("complete, %s, nothing to fetch", size(f.Bytes))
	}
	return fmt.Sprintf("would fetch %s of %s", size(f.New), size(f.Bytes))
}

// newText returns the amount of new content.
func newText(bytes int64) string {
	if bytes == 0 {
		return "nothing new"
	}
	return size(bytes) + " of it new"
}

// end prints the summary.
func (v *imagesView) end() {
	if v.json || !v.ended {
		v.jobView.end()
		return
	}
	s := &v.result
	rest := ""
	if s.NotChecked > 0 {
		rest += fmt.Sprintf(", %d not checked", s.NotChecked)
	}
	if s.Failed > 0 {
		rest += fmt.Sprintf(", %d missing", s.Failed)
	}
	if s.Skipped > 0 {
		rest += ", " + count(s.Skipped, "image ID", "image IDs") + " skipped"
	}
	done, fetched := "complete", fmt.Sprintf("%s fetched in %s", size(s.New), time.Since(v.began).Round(10*time.Millisecond))
	if v.dryRun {
		done, fetched = "available", fmt.Sprintf("%s would be fetched, less if images share content; nothing was stored", size(s.New))
	}
	v.line(fmt.Sprintf("%s: %d %s%s; %s", count(s.Images, "image", "images"), s.Images-s.Failed-s.NotChecked, done, rest, fetched))
	if s.Images > 1 { // the line of a single image is just above
		v.repeat(s)
	}
	v.jobView.end()
}

// repeat repeats the lines about missing and unchecked images at the end.
func (v *imagesView) repeat(s *prefetch.Summary) {
	for _, what := range s.Unchecked {
		v.line("not checked: " + what)
	}
	for _, what := range s.Failures {
		v.line("missing: " + what)
	}
}
