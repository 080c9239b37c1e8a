package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

// eventHandler handles the events of a job one after the other.
type eventHandler = func(admin.Event) error

// jobView shows the events of a job while it runs: each event as a line of JSON, or items as lines of text with the
// progress below them.
type jobView struct {
	out  io.Writer
	json bool
	// progress shows lines and progress to people; nil prints lines alone.
	progress progressView
	// label is the text in front of the amount of bytes; nil for none.
	label func(admin.Progress) string
	// item handles an item. The text that it returns is printed for people, unless it is empty.
	item func(admin.Event) (text string, err error)
	// summary is a pointer that the summary is decoded into; nil ignores the summary. ended says that one was received.
	summary any
	ended   bool
}

// newJobView returns a view that writes to the output of cmd: JSON, or text with progress.
func newJobView(cmd *cobra.Command, asJSON bool) *jobView {
	v := &jobView{out: cmd.OutOrStdout(), json: asJSON}
	if !asJSON {
		v.progress = newProgressView(cmd, v.out)
	}
	return v
}

// event shows one event.
func (v *jobView) event(e admin.Event) error {
	var text string
	var err error
	switch {
	case e.Kind == admin.KindProgress:
		v.showProgress(*e.Progress)
	case e.Kind == admin.KindSummary:
		if v.ended = true; v.summary != nil {
			err = e.Decode(v.summary)
		}
	case v.item != nil:
		text, err = v.item(e)
	}
	if err != nil {
		return err
	}
	if v.json {
		return printEvent(v.out, e)
	}
	if text != "" {
		v.line(text)
	}
	return nil
}

func (v *jobView) showProgress(p admin.Progress) {
	if v.progress == nil {
		return
	}
	label := ""
	if v.label != nil {
		label = v.label(p)
	}
	v.progress.progress(label, p.Done, p.Total, p.Current)
}

// line prints a line of text above the progress.
func (v *jobView) line(text string) {
	if v.progress == nil {
		printText(v.out, "%s", text)
		return
	}
	v.progress.line(text)
}

// end removes the progress from the screen.
func (v *jobView) end() {
	if v.progress != nil {
		v.progress.end()
	}
}

// completed returns nil if a job that returned err has sent its summary. Otherwise it returns why not.
func (v *jobView) completed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: complete blobs are stored; run the same command to continue")}
	case err == nil && !v.ended:
		return errors.New("the mirror sent no result; see its log")
	}
	return err
}

// countItems returns a label such as "3 of 7 images".
func countItems(noun string) func(admin.Progress) string {
	return func(p admin.Progress) string { return fmt.Sprintf("%d of %d %s", p.Items, p.TotalItems, noun) }
}

// printEvent prints an event as a line of JSON.
func printEvent(out io.Writer, e admin.Event) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	e.ID = 0 // for continuing an interrupted answer only
	return enc.Encode(e)
}

// printItem prints an item that the command itself adds to the events of a job.
func printItem(out io.Writer, kind admin.Kind, item any) (err error) {
	admin.Report(func(e admin.Event) { err = printEvent(out, e) }).Item(kind, item)
	return err
}

// collectItems returns a function that appends the item of every event to items.
func collectItems[T any](items *[]T) func(admin.Event) error {
	return func(e admin.Event) error {
		if e.Item == nil {
			return nil
		}
		var item T
		if err := e.Decode(&item); err != nil {
			return err
		}
		*items = append(*items, item)
		return nil
	}
}
