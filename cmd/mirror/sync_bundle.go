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

// bundleConfig are the flags of `mirror sync --bundle`.
type bundleConfig struct {
	transfer.ImportRequest
	bundles []string // files, folders or "-"
	keys    []string // public keys, or files of public keys
	receipt string   // file to write a receipt to
	// replace replaces an existing receipt.
	replace bool
	// skipBadNames treats images with unusable names as missing instead of refused.
	skipBadNames bool
}

// checkReceipt returns an error if a receipt cannot be written in the end, or if --overwrite has no effect.
func (c *bundleConfig) checkReceipt() error {
	switch {
	case c.receipt == "" && c.replace:
		return &exitError{exitUsage, errors.New("--overwrite replaces the file of --receipt, which is not set; --overwrite-tags moves tags that were pushed here")}
	case c.receipt == "" || c.receipt == "-":
		return nil
	}
	return checkNew(c.receipt, 0, c.replace)
}

// read reads the keys, with the rights of the user of the command instead of the server.
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
	cmd      *cobra.Command
	client   *admin.Client
	json     bool
	detach   bool // leave the last import when its bundle has arrived
	imported bool // at least one source was imported
	kept     int  // pushed tags that were not moved
}

// run imports the sources in order. After a refused source, it continues with the next one, and repeats the errors at the
// end.
func (im *imports) run() error {
	if err := im.restore(); err != nil {
		return err
	}
	found, err := sourcesOf(im.bundles)
	if err != nil {
		return err
	}
	var refused, left []string
	for _, p := range found.skipped {
		if err := im.showSkipped(p); err != nil {
			return err
		}
		if p.archive {
			refused = append(refused, p.path+": not imported: "+p.reason)
		}
	}
	broken := map[string]bool{} // sets of volumes with a refused volume
	previewed := map[string]bool{}
	for i, source := range found.list {
		set := strings.TrimSuffix(source.path, filepath.Ext(source.path))
		if source.volume != nil && broken[set] {
			continue
		}
		if previewed[set] {
			if err := im.checkLaterVolume(source); err != nil {
				return err
			}
			continue
		}
		summary, err := im.importRepaired(source, i == len(found.list)-1)
		im.imported = im.imported || err == nil
		previewed[set] = source.volume != nil && isPreview(summary)
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
			left = append(left, fmt.Sprintf("%s: %s skipped, listed above", source.name, count(summary.Skipped, "image was", "images were")))
		}
	}
	return im.outcome(refused, left)
}

// outcome returns the error for refused sources, skipped images and tags that were not moved.
func (im *imports) outcome(refused, left []string) error {
	code := exitMissing
	if len(refused) > 0 || len(left) > 0 && !im.skipBadNames {
		code = exitRefused
	}
	messages := append(refused, left...)
	if im.kept > 0 {
		messages = append(messages, fmt.Sprintf("%s kept, listed above; --overwrite-tags moves pushed tags", count(im.kept, "pushed tag was", "pushed tags were")))
	}
	if len(messages) == 0 {
		return nil
	}
	text := strings.Join(messages, "\n")
	switch {
	case im.imported && im.DryRun:
		text += "; everything else would be imported"
	case im.imported:
		text += "; everything else was imported"
	}
	return &exitError{code, errors.New(text)}
}

// showSkipped shows a file of a folder that is not imported.
func (im *imports) showSkipped(p skippedFile) error {
	if im.json {
		return printItem(im.cmd.OutOrStdout(), admin.KindSkipped, admin.Notice{Name: p.path, Reason: p.reason})
	}
	printText(im.cmd.OutOrStdout(), "not imported: %s: %s", p.path, p.reason)
	return nil
}

// failed returns the error of a failed import with the name of its source.
func (im *imports) failed(source source, err error) error {
	damaged, exit := (*volume.DamagedError)(nil), (*exitError)(nil)
	switch {
	case errors.As(err, &exit):
		return err
	case im.cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: imported blobs are stored, no tag was moved; run the same command to continue")}
	case errors.As(err, &damaged):
		return &exitError{exitRefused, fmt.Errorf("%w%s", err, repairAdvice(source.path))}
	case mirror.CodeOf(err) != mirror.CodeUnknown && mirror.CodeOf(err) != mirror.CodeStorageFull:
		return &exitError{exitRefused, fmt.Errorf("%s: %w", source.name, err)}
	}
	return fmt.Errorf("%s: %w", source.name, err)
}

// importRepaired imports one source, and once more if it was damaged and could be repaired from its parity.
func (im *imports) importRepaired(source source, last bool) (*transfer.Summary, error) {
	summary, err := im.importSource(source, last)
	if err == nil {
		return summary, nil
	}
	again, err := im.rescue(source, err)
	if !again {
		return summary, err
	}
	return im.importSource(source, last)
}

// importSource imports one source. The summary is nil if the job ended without one, or the import of the last source is left.
func (im *imports) importSource(source source, last bool) (*transfer.Summary, error) {
	if source.path == "-" && isTerminal(im.cmd.InOrStdin()) {
		return nil, &exitError{exitUsage, errors.New("standard input is a terminal: name a file instead of -, or pipe an archive into the command with < or |")}
	}
	body, err := source.open(im.cmd.InOrStdin())
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	defer body.Close()
	req := im.ImportRequest
	req.Volume = source.volume
	var bare bool // only the name of a volume says to which bundle it belongs
	if v, ok := body.(*volume.Reader); ok && req.Volume != nil {
		bare = !describe(req.Volume, v, source.path)
	}
	reading := &errorReader{Reader: body}
	if im.detach && last {
		return nil, im.leave(req, reading)
	}
	view := newImportView(im.cmd, im.json, source.name)
	err = im.client.Job(im.cmd.Context(), "import", req, reading, view.event)
	if failed := reading.failed(); failed != nil { // the cause of the error of the mirror
		err = failed
	}
	if bare && mirror.CodeOf(err) == mirror.CodeRangeInvalid {
		err = fmt.Errorf("%w; if it is imported already under another name, copy %s as well, which says to which bundle this volume belongs", err, volume.DescriptionPath(source.path))
	}
	if err == nil && view.ended && im.DryRun {
		err = checkLength(source, &view.result)
	}
	view.failed = err != nil
	view.end()
	im.kept += view.kept
	if !view.ended {
		return nil, err
	}
	return &view.result, err
}

// leave sends a bundle to an import, prints the ID of its job and does not wait for the rest of the work. If the job has failed
// by then, it returns the error of the job.
func (im *imports) leave(req transfer.ImportRequest, body io.Reader) error {
	job, err := im.client.StartJob(im.cmd.Context(), "import", req, true)
	if err != nil {
		return err
	}
	if job, err = im.client.SendAll(im.cmd.Context(), job.ID, body); err != nil {
		return err
	}
	if job.Error != nil {
		return &mirror.Error{Code: job.Error.Code, Message: job.Error.Message, Detail: job.Error.Detail}
	}
	return printStarted(im.cmd, job, im.json)
}

// errorReader is a reader that keeps its error, as the mirror only sees a truncated body. failed may be called during a
// Read.
type errorReader struct {
	io.Reader
	err atomic.Pointer[error]
}

// Read implements [io.Reader].
func (r *errorReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err.Store(&err)
	}
	return n, err
}

// Seek implements [io.Seeker], so that an upload continues after the connection to the mirror broke. It fails if the reader
// below cannot seek.
func (r *errorReader) Seek(offset int64, whence int) (int64, error) {
	if seeker, ok := r.Reader.(io.Seeker); ok {
		return seeker.Seek(offset, whence)
	}
	return 0, errors.ErrUnsupported
}

// failed returns the error of reading, or nil.
func (r *errorReader) failed() error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return nil
}

// writeReceipt writes a receipt of the stored content to a file, if path is not empty.
func writeReceipt(cmd *cobra.Command, client *admin.Client, path string, overwrite bool) error {
	if path == "" {
		return nil
	}
	if path == "-" {
		_, err := client.Stream(cmd.Context(), "receipt", struct{}{}, nil, raw(cmd.OutOrStdout()))
		return err
	}
	return writeFile(cmd.Context(), path, overwrite, func(ctx context.Context, w io.Writer) error {
		_, err := client.Stream(ctx, "receipt", struct{}{}, nil, w)
		return err
	})
}

// importView shows an import.
type importView struct {
	*jobView
	name   string
	result transfer.Summary
	kept   int  // pushed tags that were not moved
	failed bool // a preview that found the bundle unusable
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
		what := "skipped"
		if e.Kind == admin.KindNote {
			what = "note"
		}
		return fmt.Sprintf("%s: %s: %s", what, notice.Name, notice.Reason), err
	case admin.KindKept:
		v.kept++
		var kept transfer.KeptTag
		err := e.Decode(&kept)
		return fmt.Sprintf("kept: %s was pushed here and points at %s; the bundle has %s (--overwrite-tags moves it)", kept.Name, short(kept.Digest), short(kept.Other)), err
	}
	return "", nil
}

// end prints the summary.
func (v *importView) end() {
	v.jobView.end()
	if v.ended && !v.failed && !v.json {
		printImported(v.out, v.name, &v.result)
	}
}

// errNoSource is the error for a folder without anything to import.
var errNoSource = errors.New("it contains no bundle")
