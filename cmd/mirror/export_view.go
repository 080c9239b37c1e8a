package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// short returns a digest shortened for people.
func short(d digest.Digest) string {
	if len(d.Encoded()) < 12 {
		return d.String()
	}
	return d.Encoded()[:12]
}

// summarize prints the contents of the bundle, for the papers that accompany a disk.
func (e *export) summarize(doc *bundle.Document) error {
	out := e.cmd.OutOrStdout()
	if e.bundle == "-" && !isQuiet(e.cmd) { // standard output has the bundle
		out = e.cmd.ErrOrStderr()
	}
	volumes, _ := e.out.(*volume.Writer)
	if e.json {
		return printJSON(out, exported{
			File: e.bundle, Bytes: e.written, Bundle: doc.ID, Source: doc.Source, Destination: doc.Destination, Sequence: doc.Sequence,
			Images: len(doc.Images), Manifests: len(doc.Manifests), Blobs: len(doc.Blobs), Assumed: len(doc.Assumes), Key: e.keyID(), Volumes: descriptions(volumes),
			Sparse: sparse(doc.Images), Skipped: e.skippedImages, Incomplete: e.incomplete(), NotChecked: e.notChecked,
			Files: e.inputs.read, Unread: e.unread,
		})
	}
	e.printNotDone(e.cmd.ErrOrStderr())
	printSparse(e.cmd.ErrOrStderr(), doc.Images)
	t := newTable(out, "bundle", doc.ID)
	t.row("file", fmt.Sprintf("%s, %s", e.bundle, size(e.written)))
	if list := descriptions(volumes); len(list) > 0 {
		t.row("volumes", fmt.Sprintf("%d of at most %s: %s", len(list), e.volumeSize, rangeOf(list[0].File, list[len(list)-1].File)))
		if parity := volumes.Parity(); len(parity) > 0 {
			t.row("parity", fmt.Sprintf("%s of %s: %s", count(len(parity), "volume", "volumes"), size(parity[0].Size), rangeOf(parity[0].File, parity[len(parity)-1].File)))
		}
	}
	if volumes != nil {
		if file, bytes := volumes.Protected(); bytes > 0 {
			t.row("parity", fmt.Sprintf("%s, %s", file, size(bytes)))
		}
	}
	t.row("contains", fmt.Sprintf("%s in %s and %s", count(len(doc.Images), "image", "images"), count(len(doc.Manifests), "manifest", "manifests"), count(len(doc.Blobs), "blob", "blobs")))
	if len(doc.Assumes) > 0 {
		t.row("assumes", fmt.Sprintf("%s that the destination has", count(len(doc.Assumes), "file", "files")))
	}
	t.row("number", numberOf(doc.Sequence, doc.Destination, doc.Source, doc.Host))
	t.row("created", doc.Created.Format(time.RFC3339))
	if e.signed != nil {
		t.row("signed by", e.signed.key)
		t.row("signature", e.signed.text)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return printCarried(out, doc.Images)
}

// rangeOf names files by the first and the last one.
func rangeOf(first, last string) string {
	if first == last {
		return first
	}
	return first + " to " + last
}

// printNotDone lists skipped, incomplete and unchecked images, with the reasons.
func (e *export) printNotDone(out io.Writer) {
	for _, of := range []struct {
		what string
		list []admin.Notice
	}{{"skipped", e.skippedImages}, {"incomplete", e.incomplete()}, {"not checked", e.notChecked}} {
		for _, l := range byCause(of.list) {
			printText(out, "%s: %s: %s", of.what, l.Name, l.Reason)
		}
	}
}

// printSparse warns about images whose index names platforms that are not in the bundle.
func printSparse(out io.Writer, images []bundle.Image) {
	if names := sparse(images); len(names) > 0 {
		fmt.Fprintf(out, "sparse: %s: regctl, oras cp and skopeo copy --all cannot read an index with missing platforms; use --flatten for them\n", strings.Join(names, ", "))
	}
}

// sparse returns the names of the sparse images.
func sparse(images []bundle.Image) (names []string) {
	for _, i := range images {
		if i.Sparse {
			names = append(names, imageName(&i))
		}
	}
	return names
}

// printCarried lists the images of a bundle with their digests.
func printCarried(out io.Writer, images []bundle.Image) error {
	t := newTable(out, "IMAGE", "SIZE", "DIGEST")
	for i := range images {
		name := imageName(&images[i])
		if images[i].Tag == "" {
			name = images[i].Repository
		}
		t.row(name, size(images[i].Size), images[i].Digest.String())
	}
	return t.Flush()
}

// keyID returns the ID of the key that signed; "" without a signature.
func (e *export) keyID() string {
	if e.signed == nil {
		return ""
	}
	return e.signed.key
}

// exported is the result of an export in JSON.
type exported struct {
	File        string               `json:"file"`
	Bytes       int64                `json:"size"`
	Bundle      string               `json:"bundle"`
	Source      string               `json:"source"`
	Destination string               `json:"destination,omitempty"`
	Sequence    int64                `json:"sequence"`
	Images      int                  `json:"images"`
	Manifests   int                  `json:"manifests"`
	Blobs       int                  `json:"blobs"`
	Assumed     int                  `json:"assumed"`
	Key         string               `json:"key,omitempty"`
	Volumes     []volume.Description `json:"volumes,omitempty"`
	Sparse      []string             `json:"sparse,omitempty"`     // images whose index names platforms that are not in the bundle
	Skipped     []admin.Notice       `json:"skipped,omitempty"`    // images that are not in the bundle
	Incomplete  []admin.Notice       `json:"incomplete,omitempty"` // images of which a part could not be fetched
	NotChecked  []admin.Notice       `json:"notChecked,omitempty"` // images that could not be checked upstream
	Files       []fileRead           `json:"files,omitempty"`      // files with names of images
	Unread      []unreadPart         `json:"unread,omitempty"`     // parts of the files that were not read
}

// descriptions returns the descriptions of the volumes; none for a single file.
func descriptions(w *volume.Writer) []volume.Description {
	if w == nil {
		return nil
	}
	list := w.Volumes()
	for i := range list {
		list[i].Blocks = nil // long, and in the files
	}
	return list
}

// numberOf returns the sequence number of a bundle with its source and destination.
func numberOf(sequence int64, destination, source, host string) string {
	text := fmt.Sprintf("%d from %s", sequence, source)
	if host != "" {
		text += " (" + host + ")"
	}
	if destination != "" {
		text += " for " + destination
	}
	return text
}

// printImported prints the result of an import, for the same papers.
func printImported(out io.Writer, name string, s *transfer.Summary) {
	switch {
	case s.Known && s.Next != nil:
		fmt.Fprintf(out, "%s is already imported; continue with %s\n", name, cmp.Or(volume.File(name, s.Next.Number), fmt.Sprintf("volume %d", s.Next.Number)))
		return
	case s.Known && s.Source == "": // a later volume, which was not read
		fmt.Fprintf(out, "%s: bundle %s is already imported\n", name, s.Bundle)
		return
	case s.Known && s.New == 0:
		fmt.Fprintf(out, "%s: bundle %d from %s is already imported%s\n", name, s.Sequence, s.Source, signedText(s))
		return
	}
	if s.Next != nil {
		if s.Next.Reason != "" {
			fmt.Fprintf(out, "%s: %s\n", name, s.Next.Reason)
		}
		fmt.Fprintf(out, "%s is imported; continue with %s\n", name, cmp.Or(volume.File(name, s.Next.Number), fmt.Sprintf("volume %d", s.Next.Number)))
		return
	}
	t := newTable(out, "imported", fmt.Sprintf("%s, %s of it new, in %s", name, size(s.New), time.Duration(s.Duration*float64(time.Second)).Round(10*time.Millisecond)))
	if s.DryRun {
		t = newTable(out, "would import", fmt.Sprintf("%s, %s of it new", name, size(s.New)))
	}
	t.row("contains", fmt.Sprintf("%s, %s in %s and %s", count(s.Images, "image", "images"), size(s.Bytes), count(s.Manifests, "manifest", "manifests"), count(s.Blobs, "blob", "blobs")))
	if s.Bundle != "" {
		t.row("bundle", s.Bundle)
		t.row("number", numberOf(s.Sequence, s.Destination, s.Source, s.Host))
		t.row("created", s.Created.Format(time.RFC3339))
	}
	switch {
	case s.Key != "":
		t.row("signed by", trustedText(s))
	case s.Signed:
		t.row("signed", "not verified, as this mirror has no trusted key")
	}
	if s.DryRun && s.Bundle != "" {
		t.row("content", "not read: the import verifies it")
	}
	_ = t.Flush()
}

// trustedText returns the key that verified the signature of a bundle.
func trustedText(s *transfer.Summary) string { return s.Key + ", a trusted key" }

// signedText returns who signed a bundle, after a comma; "" if its signature was not verified.
func signedText(s *transfer.Summary) string {
	if s.Key == "" {
		return ""
	}
	return ", signed by " + trustedText(s)
}

// exportHistory lists earlier exports, or those for one destination.
func exportHistory(cmd *cobra.Command, client *admin.Client, destination string, asJSON bool) error {
	sent := []transfer.ExportedBundle{}
	err := client.Call(cmd.Context(), "export-history", struct{}{}, nil, collectItems(&sent))
	if err != nil {
		return err
	}
	sent = slices.DeleteFunc(sent, func(s transfer.ExportedBundle) bool { return destination != "" && s.Destination != destination })
	if asJSON {
		return printJSON(cmd.OutOrStdout(), sent)
	}
	t := newTable(cmd.OutOrStdout(), "DESTINATION", "NUMBER", "EXPORTED", "IMAGES", "SIZE", "BUNDLE")
	for _, s := range sent {
		t.row(s.Destination, fmt.Sprint(s.Sequence), age(s.Exported), fmt.Sprint(s.Images), size(s.Bytes), s.ID)
	}
	return t.Flush()
}
