package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/signature"
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// bundleConfig is what `mirror sync --bundle` can be told.
type bundleConfig struct {
	transfer.ImportRequest
	bundles []string // files, folders or "-"
	keys    []string // public keys, or files of them
	receipt string   // the file to write a receipt to
	// skipBadNames says that what was left out, since its name cannot be used, is only missing, and not refused.
	skipBadNames bool
}

// read checks what was asked for, and reads the keys, which are this command's user's and not the server's.
func (c *bundleConfig) read() error {
	for _, key := range c.keys {
		public, err := signature.LoadPublic(key)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--verify: %w", err)}
		}
		c.Keys = append(c.Keys, public.String())
	}
	return nil
}

// imports is one run of `mirror sync --bundle`.
type imports struct {
	bundleConfig
	cmd    *cobra.Command
	client *admin.Client
	json   bool
	taken  bool // something came in
	kept   int  // tags that were pushed here, and that stayed as they were
}

// run takes in one source after the other. What is refused of one does not keep the others out, and is repeated in the end.
func (im *imports) run() error {
	found, err := sourcesOf(im.bundles)
	if err != nil {
		return err
	}
	var refused, left []string
	for _, p := range found.passed {
		if err := im.tellPassed(p); err != nil {
			return err
		}
		if p.archive {
			refused = append(refused, p.path+": not taken in: "+p.reason)
		}
	}
	broken := map[string]bool{} // sets of volumes
	for _, source := range found.list {
		set := strings.TrimSuffix(source.path, filepath.Ext(source.path))
		if source.volume != nil && broken[set] {
			continue
		}
		summary, err := im.take(source)
		im.taken = im.taken || err == nil
		if err != nil {
			err = im.failed(source, err)
			exit := (*exitError)(nil)
			if !errors.As(err, &exit) || exit.code != exitRefused || len(found.list) == 1 && len(refused) == 0 {
				return err
			}
			broken[set] = source.volume != nil
			refused = append(refused, err.Error())
		}
		if summary != nil && summary.Skipped > 0 {
			left = append(left, fmt.Sprintf("%s: %s left out, named above", source.name, count(summary.Skipped, "image was", "images were")))
		}
	}
	return im.outcome(refused, left)
}

// outcome is what a run comes to: what was refused, which images were left out, and tags that stayed as they were pushed.
func (im *imports) outcome(refused, left []string) error {
	code := exitMissing
	if len(refused) > 0 || len(left) > 0 && !im.skipBadNames {
		code = exitRefused
	}
	said := append(refused, left...)
	if im.kept > 0 {
		said = append(said, fmt.Sprintf("%s kept as pushed here, each named above, which --overwrite moves", count(im.kept, "tag was", "tags were")))
	}
	if len(said) == 0 {
		return nil
	}
	text := strings.Join(said, "\nmirror: ")
	if im.taken {
		text += "; everything else is in"
	}
	return &exitError{code, errors.New(text)}
}

// tellPassed says what a folder has that is not taken in.
func (im *imports) tellPassed(p passed) error {
	if im.json {
		return printItem(im.cmd.OutOrStdout(), admin.KindSkipped, admin.Notice{Name: p.path, Reason: p.reason})
	}
	printText(im.cmd.OutOrStdout(), "not taken in: %s: %s", p.path, p.reason)
	return nil
}

// failed says which source an import failed at.
func (im *imports) failed(source source, err error) error {
	damaged := (*volume.DamagedError)(nil)
	switch {
	case im.cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: what has arrived is kept, no tag has moved, and the same command goes on with the rest")}
	case errors.As(err, &damaged):
		return &exitError{exitRefused, err}
	case mirror.CodeOf(err) != mirror.CodeUnknown && mirror.CodeOf(err) != mirror.CodeStorageFull:
		return &exitError{exitRefused, fmt.Errorf("%s: %w", source.name, err)}
	}
	return fmt.Errorf("%s: %w", source.name, err)
}

// take sends one source to the mirror. The summary is nil if it did not come to one.
func (im *imports) take(source source) (*transfer.Summary, error) {
	body, err := source.open(im.cmd.InOrStdin())
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	defer body.Close()
	req := im.ImportRequest
	req.Volume = source.volume
	var bare bool // of a volume: nothing but its name says what it is of
	if v, ok := body.(*volume.Reader); ok && req.Volume != nil {
		bare = !describe(req.Volume, v, source.path)
	}
	view := newImportView(im.cmd, im.json, source.name)
	reading := &remembering{Reader: body}
	err = im.client.Job(im.cmd.Context(), "import", req, reading, view.event)
	if failed := reading.failed(); failed != nil { // why the mirror got no more
		err = failed
	}
	if bare && mirror.CodeOf(err) == mirror.CodeRangeInvalid {
		err = fmt.Errorf("%w; or copy %s as well, which tells of what bundle the volume is", err, volume.DescriptionPath(source.path))
	}
	view.end()
	im.kept += view.kept
	if !view.ended {
		return nil, err
	}
	return &view.result, err
}

// remembering is a reader that remembers what it failed with: the mirror only sees that no more comes. It may still be
// read when it is asked.
type remembering struct {
	io.Reader
	err atomic.Pointer[error]
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err.Store(&err)
	}
	return n, err
}

// failed returns what reading failed with; nil if it did not.
func (r *remembering) failed() error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return nil
}

// writeReceipt writes what the mirror holds to a file, whole or not at all.
func writeReceipt(cmd *cobra.Command, client *admin.Client, path string) error {
	if path == "" {
		return nil
	}
	if path == "-" {
		_, err := client.Stream(cmd.Context(), "receipt", struct{}{}, nil, raw(cmd.OutOrStdout()))
		return err
	}
	return writeWhole(cmd.Context(), path, func(ctx context.Context, w io.Writer) error {
		_, err := client.Stream(ctx, "receipt", struct{}{}, nil, w)
		return err
	})
}

// writeWhole writes a file that is whole and durable once it has its name.
func writeWhole(ctx context.Context, path string, write func(context.Context, io.Writer) error) error {
	w, err := volume.Create(path, 0, volume.Options{Overwrite: true})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := errors.Join(write(ctx, w)); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.Close(); err != nil {
		return errors.Join(err, w.Abort())
	}
	return nil
}

// importView shows an import.
type importView struct {
	*jobView
	name   string
	result transfer.Summary
	kept   int // pushed tags that were not moved
}

func newImportView(cmd *cobra.Command, asJSON bool, name string) *importView {
	v := &importView{jobView: newJobView(cmd, asJSON), name: name}
	v.item, v.summary = v.handle, &v.result
	return v
}

// handle returns the line for an item.
func (v *importView) handle(e admin.Event) (string, error) {
	switch e.Kind {
	case admin.KindImage:
		var image bundle.Image
		err := e.Decode(&image)
		return fmt.Sprintf("%s: %s, %s of it in the bundle, %s", imageName(&image), size(image.Size), size(image.New), image.Digest), err
	case admin.KindSkipped, admin.KindNote:
		var notice admin.Notice
		err := e.Decode(&notice)
		what := "left out"
		if e.Kind == admin.KindNote {
			what = "note"
		}
		return fmt.Sprintf("%s: %s: %s", what, notice.Name, notice.Reason), err
	case admin.KindKept:
		v.kept++
		var kept transfer.KeptTag
		err := e.Decode(&kept)
		return fmt.Sprintf("kept: %s was pushed here and points at %s; the bundle has %s (--overwrite moves it)", kept.Name, short(kept.Digest), short(kept.Other)), err
	}
	return "", nil
}

// end prints the summary.
func (v *importView) end() {
	v.jobView.end()
	if v.ended && !v.json {
		printImported(v.out, v.name, &v.result)
	}
}

// errNoSource says that there is nothing to take in.
var errNoSource = errors.New("there is no bundle in it")
