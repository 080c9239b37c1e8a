package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/signature"
	"airmirror/sync/volume"
)

// export is one run of `mirror export`.
type export struct {
	exportConfig
	cmd     *cobra.Command
	client  *admin.Client
	json    bool
	reasons map[string]string // why images could not be fetched, by name

	shown         progressView
	out           io.WriteCloser // for the bundle; nil until its document is known
	signed        *madeSignature // nil without a signature
	begun         bool           // the mirror sends a bundle
	written       int64
	total         int64
	skippedImages []admin.Notice // images that were skipped, with the reasons
	// notChecked are images that could not be checked upstream. The bundle contains the stored copy.
	notChecked []admin.Notice
	toFetch    []prefetch.Result // images that a dry run would fetch first
}

// byCause joins the names with the same reason, so that an upstream that does not respond is reported once for all of its
// images.
func byCause(list []admin.Notice) (causes []admin.Notice) {
	at := make(map[string]int)
	for _, l := range list {
		i, known := at[l.Reason]
		if !known {
			at[l.Reason] = len(causes)
			causes = append(causes, l)
			continue
		}
		causes[i].Name += ", " + l.Name
	}
	return causes
}

// madeSignature is the signature of a bundle.
type madeSignature struct{ key, text string }

// run exports the bundle.
func (e *export) run() error {
	found, err := e.resolve(e.cmd, e.client, e.dryRun)
	if err != nil {
		return err
	}
	e.Images = append(e.Images, found...)
	if !e.json || e.dryRun { // otherwise, the one object of the result has it
		if err := e.show(e.cmd, e.cmd.OutOrStdout(), e.json); err != nil {
			return err
		}
	}
	if err := e.fetch(); err != nil {
		return e.failed(err)
	}
	if e.dryRun {
		return e.failed(e.plan())
	}
	sign, err := e.signer()
	if err != nil {
		return err
	}
	if err := e.lookForLeft(); err != nil {
		return e.failed(err)
	}
	doc, err := e.stream(sign)
	if err != nil {
		return e.failed(err)
	}
	if err := e.client.Call(e.cmd.Context(), "export-sent", doc, nil, nil); err != nil {
		return fmt.Errorf("the bundle is complete, but the mirror could not record the export, so that the next export with --since will contain this content again: %w", err)
	}
	if err := e.summarize(doc); err != nil {
		return err
	}
	return e.undone("the bundle contains everything else")
}

// undone returns the error for images that were skipped, incomplete or not checked.
func (e *export) undone(rest string) error {
	var parts []string
	if n := len(e.skippedImages); n > 0 {
		parts = append(parts, fmt.Sprintf("%s skipped; %s", count(n, "image was", "images were"), rest))
	}
	if n := len(e.incomplete()); n > 0 {
		parts = append(parts, fmt.Sprintf("%s could not be fetched completely", count(n, "image", "images")))
	}
	if text := e.inputs.undone(); text != "" {
		parts = append(parts, text)
	}
	if n := len(e.notChecked); n > 0 && !e.allowStale {
		parts = append(parts, fmt.Sprintf("%s not be checked upstream, and may be outdated or lack referrers; use --allow-stale to accept the stored copies", count(n, "image could", "images could")))
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{exitMissing, errors.New(strings.Join(parts, "; "))}
}

// incomplete returns the images of the bundle of which a platform or a referrer could not be fetched.
func (e *export) incomplete() (list []admin.Notice) {
	left := make(map[string]bool)
	for _, l := range e.skippedImages {
		left[l.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(e.reasons)) {
		if !left[name] {
			list = append(list, admin.Notice{Name: name, Reason: e.reasons[name]})
		}
	}
	return list
}

// withReason adds the reason why an image could not be fetched.
func (e *export) withReason(name, reason string) string {
	if why := e.reasons[name]; why != "" {
		reason += "; it could not be fetched: " + why
	}
	return reason
}

// failed returns the error of a failed export. For missing images, it adds why they could not be fetched.
func (e *export) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case e.cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: no bundle was written")}
	case mirror.CodeOf(err) == mirror.CodeUnsupported && e.have != "" && strings.Contains(err.Error(), "receipt"):
		return &exitError{exitUsage, fmt.Errorf("--have %s: %w", e.have, err)}
	case mirror.CodeOf(err) == mirror.CodeUnsupported && e.Since != "":
		return &exitError{exitUsage, err}
	case mirror.CodeOf(err) != mirror.CodeManifestUnknown:
		return err
	}
	text := err.Error()
	if len(e.Images) > 1 && !e.SkipMissing && (e.Since == "" || e.Since == "last") {
		text += "; --skip-missing exports the others, if there are any"
	}
	var unfetched []admin.Notice
	for _, name := range slices.Sorted(maps.Keys(e.reasons)) {
		unfetched = append(unfetched, admin.Notice{Name: name, Reason: e.reasons[name]})
	}
	for _, l := range byCause(unfetched) {
		text += fmt.Sprintf("\n  %s could not be fetched: %s", l.Name, l.Reason)
	}
	return &exitError{exitMissing, errors.New(text)}
}

// signer returns a function that signs bundle.json; nil without --sign.
func (e *export) signer() (func([]byte) ([]byte, error), error) {
	if e.key == "" {
		return nil, nil
	}
	key, err := signature.LoadPrivate(e.key, askPassword(e.cmd))
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return func(document []byte) ([]byte, error) {
		text, err := signature.Sign(key, document, "file:"+bundle.DocumentName)
		if err == nil {
			e.signed = &madeSignature{key: key.ID(), text: strings.Split(string(text), "\n")[1]}
		}
		return text, err
	}, nil
}

// stream writes the bundle. When it returns the document, the bundle is durable.
func (e *export) stream(sign func([]byte) ([]byte, error)) (*bundle.Document, error) {
	receipt, err := e.receipt()
	if err != nil {
		return nil, err
	}
	if receipt != nil {
		defer receipt.Close()
	}
	e.shown = newProgressView(e.cmd, io.Discard)
	defer e.shown.end()
	from, to := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := e.client.Stream(e.cmd.Context(), "export", e.ExportRequest, receipt, to)
		to.CloseWithError(err)
		sent <- err
	}()
	doc, err := bundle.Copy(e.cmd.Context(), e, from, sign, e.begin)
	from.CloseWithError(errors.Join(err, errors.New("the bundle was not written to its end")))
	if refused := <-sent; refused != nil && !e.begun {
		err = refused // the mirror failed before the first byte
	}
	if err == nil {
		err = e.out.Close()
	}
	if err != nil && e.out != nil {
		if w, ok := e.out.(*volume.Writer); ok {
			err = errors.Join(err, w.Abort())
		}
	}
	return doc, err
}

// begin opens the output, when the document and the size of the bundle are known.
func (e *export) begin(doc *bundle.Document, total int64) error {
	e.begun, e.total = true, total
	if e.bundle == "-" {
		e.out = nopCloser{raw(e.cmd.OutOrStdout())}
		return nil
	}
	w, err := volume.Create(e.bundle, int64(e.volumeSize), volume.Options{
		Total: total, Bundle: doc.ID, Title: titleOf(doc), Overwrite: e.overwrite,
		Parity: e.parity.volumes, Redundancy: e.parity.percent,
	})
	if err != nil {
		return createError(err)
	}
	e.out = w
	return nil
}

// Write implements [io.Writer] for the content of the bundle.
func (e *export) Write(p []byte) (int, error) {
	n, err := e.out.Write(p)
	e.written += int64(n)
	e.shown.progress("", e.written, e.total, e.bundle)
	return n, err
}

// nopCloser is a writer whose Close does nothing.
type nopCloser struct{ io.Writer }

// Close implements [io.Closer].
func (nopCloser) Close() error { return nil }

// titleOf returns the title of a bundle for people.
func titleOf(doc *bundle.Document) string {
	title := count(len(doc.Images), "image", "images")
	if doc.Destination != "" {
		title += " for " + doc.Destination
	}
	return fmt.Sprintf("%s, bundle %d of %s", title, doc.Sequence, doc.Created.Format(time.DateOnly))
}

// lookForLeft finds the images that will be skipped, so that they are reported here and not only missed after the import.
func (e *export) lookForLeft() error {
	if !e.All && !e.SkipMissing && len(e.Wants) == 0 {
		return nil
	}
	receipt, err := e.receipt()
	if err != nil {
		return err
	}
	if receipt != nil {
		defer receipt.Close()
	}
	req := e.ExportRequest
	req.Verify = true
	return e.client.Call(e.cmd.Context(), "export-plan", req, receipt, func(event admin.Event) error {
		if event.Kind != admin.KindSkipped {
			return nil
		}
		var skipped admin.Notice
		if err := event.Decode(&skipped); err != nil {
			return err
		}
		e.skippedImages = append(e.skippedImages, admin.Notice{Name: skipped.Name, Reason: e.withReason(skipped.Name, skipped.Reason)})
		return nil
	})
}

// imageName returns the name of an image in a bundle, with its tag or digest.
func imageName(i *bundle.Image) string {
	if i.Tag != "" {
		return i.Repository + ":" + i.Tag
	}
	return i.Repository + "@" + i.Digest.String()
}
