package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// plan lists what a bundle would carry: what is stored, and what is fetched first.
func (e *export) plan() error {
	receipt, err := e.receipt()
	if err != nil {
		return err
	}
	if receipt != nil {
		defer receipt.Close()
	}
	fetched := make(map[string]prefetch.Event)
	for _, event := range e.toFetch {
		fetched[event.Image] = event
	}
	req := e.ExportRequest
	req.SkipMissing = true // what is to be fetched is missing now
	v := &planView{export: e, fetched: fetched, table: newTable(e.cmd.OutOrStdout(), "IMAGE", "PLATFORM", "SIZE", "NEW", "WHY")}
	err = e.client.Job(e.cmd.Context(), "export-plan", req, receipt, v.event)
	switch nothing := mirror.CodeOf(err) == mirror.CodeManifestUnknown; {
	case nothing && len(fetched) > 0: // all of it is fetched first
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
	if len(e.left) > 0 && !e.SkipMissing && !e.All && len(e.Wants) == 0 {
		return &exitError{exitMissing, fmt.Errorf("%d of what was asked for cannot be exported: each is named above; --skip-missing writes the rest", len(e.left))}
	}
	return e.undone("the bundle would be written without")
}

// planView shows what a bundle would carry.
type planView struct {
	*export
	fetched map[string]prefetch.Event // what would be fetched first and was not shown yet, by name
	table   table
	summary *transfer.Summary
	sparse  []bundle.Image
}

func (v *planView) event(line json.RawMessage) error {
	var event transfer.Event
	if err := readAnswer(line, &event); err != nil {
		return err
	}
	switch event.Kind {
	case transfer.KindImage:
		if f, found := v.fetched[imageName(event.Image)]; found { // another one, or more of it
			return v.fetch(f)
		}
	case transfer.KindSkipped:
		if f, found := v.fetched[event.Name]; found {
			return v.fetch(f)
		}
		return v.leave(event.Name, v.withReason(event.Name, event.Reason))
	case transfer.KindDone:
		v.summary = event.Summary
	}
	if v.json {
		_, err := fmt.Fprintf(v.cmd.OutOrStdout(), "%s\n", line)
		return err
	}
	if i := event.Image; event.Kind == transfer.KindImage {
		if i.Sparse {
			v.sparse = append(v.sparse, *i)
		}
		v.table.row(imageName(i), cmp.Or(strings.Join(i.Platforms, ","), "-"), size(i.Size), size(i.New), i.Why)
	}
	return nil
}

// fetch shows an image that is fetched first.
func (v *planView) fetch(f prefetch.Event) error {
	delete(v.fetched, f.Image)
	if v.json {
		return printLine(v.cmd.OutOrStdout(), f)
	}
	v.table.row(f.Image, "-", size(f.Fetched.Bytes), "up to "+size(f.Fetched.Bytes), "named, "+size(f.Fetched.New)+" of it fetched first")
	return nil
}

// leave notes what is left out.
func (v *planView) leave(name, reason string) error {
	v.left = append(v.left, leftOut{name, reason})
	return v.tell(transfer.KindSkipped, name, reason)
}

// tell prints something about an image for programs.
func (v *planView) tell(kind, name, reason string) error {
	if !v.json {
		return nil
	}
	return printLine(v.cmd.OutOrStdout(), transfer.Event{Time: time.Now().UTC(), Kind: kind, Name: name, Reason: reason})
}

func (v *planView) end() error {
	for _, f := range v.toFetch { // if nothing is stored, nothing was planned
		if _, left := v.fetched[f.Image]; left {
			if err := v.fetch(f); err != nil {
				return err
			}
		}
	}
	for _, l := range v.incomplete() {
		if err := v.tell("incomplete", l.Name, l.Reason); err != nil {
			return err
		}
	}
	for _, l := range v.notChecked {
		if err := v.tell("notChecked", l.Name, l.Reason); err != nil {
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
	if s := v.summary; s != nil {
		fmt.Fprintf(out, "\n%s stored, %s in %s; %s and what they hold are on the other side already\n", count(s.Images, "image", "images"), size(s.New),
			count(s.Manifests+s.Blobs, "file", "files"), count(s.Assumed, "file", "files"))
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

// printLine prints JSON in one line.
func printLine(out io.Writer, v any) error {
	return json.NewEncoder(out).Encode(v)
}
