package main

import (
	"fmt"
	"io"
	"time"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// syncView shows a sync of images while it runs.
type syncView interface {
	// event shows what happened; line is the same, as the mirror sent it.
	event(e prefetch.Event, line []byte) error
	// end shows how it ended; nil if it was broken off.
	end(summary *prefetch.Summary)
}

// newSyncView returns what suits people or a program.
func newSyncView(out, progress io.Writer, asJSON, dryRun bool) syncView {
	if asJSON {
		return jsonView{out}
	}
	return &imagesView{show: newShow(out, progress), began: time.Now(), dryRun: dryRun}
}

// jsonView prints every event in a line.
type jsonView struct{ out io.Writer }

func (v jsonView) event(_ prefetch.Event, line []byte) error {
	_, err := fmt.Fprintf(v.out, "%s\n", line)
	return err
}

func (v jsonView) end(*prefetch.Summary) {}

// imagesView prints what became of each image, and of all of them.
type imagesView struct {
	show
	began         time.Time
	planned, done int64 // images
	dryRun        bool
}

func (v *imagesView) event(e prefetch.Event, _ []byte) error {
	switch e.Kind {
	case prefetch.KindPlan:
		v.planned = e.Total
		return nil
	case prefetch.KindImage:
		v.done++
		v.line(v.imageLine(e))
	}
	v.progress(fmt.Sprintf("%d of %d images", v.done, v.planned), e.Done, e.Total, e.Doing)
	return nil
}

func (v *imagesView) imageLine(e prefetch.Event) string {
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
	return fmt.Sprintf("%s: held whole, %s, %s", e.Image, size(e.Fetched.Bytes), newText(e.Fetched.New))
}

// wouldText says what a dry run found out about an image.
func wouldText(f *mirror.Fetched) string {
	if f.New == 0 {
		return fmt.Sprintf("held whole, %s, nothing to fetch", size(f.Bytes))
	}
	return fmt.Sprintf("would fetch %s of %s", size(f.New), size(f.Bytes))
}

func newText(bytes int64) string {
	if bytes == 0 {
		return "none of it new"
	}
	return size(bytes) + " of it new"
}

func (v *imagesView) end(s *prefetch.Summary) {
	if s == nil {
		v.show.end()
		return
	}
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
	done, fetched := "held whole", fmt.Sprintf("%s fetched in %s", size(s.New), time.Since(v.began).Round(10*time.Millisecond))
	if v.dryRun {
		done, fetched = "can be had whole", fmt.Sprintf("%s would be fetched, less what they share; nothing was stored", size(s.New))
	}
	v.line(fmt.Sprintf("%s: %d %s%s; %s", count(s.Images, "image", "images"), s.Images-s.Failed-s.NotChecked, done, rest, fetched))
	if s.Images > 1 { // the lines of a single one are just above
		v.again(s)
	}
	v.show.end()
}

// again repeats what was not done, below everything else that was told.
func (v *imagesView) again(s *prefetch.Summary) {
	for _, what := range s.Unchecked {
		v.line("not checked: " + what)
	}
	for _, what := range s.Failures {
		v.line("missing: " + what)
	}
}
