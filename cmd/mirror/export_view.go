package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// short is enough of a digest for people to tell it from others.
func short(d digest.Digest) string {
	if len(d.Encoded()) < 12 {
		return d.String()
	}
	return d.Encoded()[:12]
}

// summarize prints what was written, so that it can go on a form that travels with the disk.
func (e *export) summarize(doc *bundle.Document) error {
	out := e.cmd.OutOrStdout()
	if e.bundle == "-" { // where the bundle itself went
		out = e.cmd.ErrOrStderr()
	}
	volumes, _ := e.out.(*volume.Writer)
	if e.json {
		return printJSON(out, exported{
			File: e.bundle, Bytes: e.written, Bundle: doc.ID, Source: doc.Source, Destination: doc.Destination, Sequence: doc.Sequence,
			Images: len(doc.Images), Manifests: len(doc.Manifests), Blobs: len(doc.Blobs), Assumed: len(doc.Assumes), Key: e.key0(), Volumes: descriptions(volumes),
			Sparse: sparse(doc.Images), Skipped: e.left, Incomplete: e.incomplete(), NotChecked: e.notChecked,
		})
	}
	e.printNotDone(e.cmd.ErrOrStderr())
	printSparse(e.cmd.ErrOrStderr(), doc.Images)
	t := newTable(out, "bundle", doc.ID)
	t.row("file", fmt.Sprintf("%s, %s", e.bundle, size(e.written)))
	if list := descriptions(volumes); len(list) > 0 {
		t.row("volumes", fmt.Sprintf("%d of at most %s: %s to %s", len(list), size(int64(e.volumeSize)), list[0].File, list[len(list)-1].File))
	}
	t.row("carries", fmt.Sprintf("%s in %s and %s", count(len(doc.Images), "image", "images"), count(len(doc.Manifests), "manifest", "manifests"), count(len(doc.Blobs), "blob", "blobs")))
	if len(doc.Assumes) > 0 {
		t.row("assumes", fmt.Sprintf("%s that the other side has", count(len(doc.Assumes), "file", "files")))
	}
	t.row("number", numberOf(doc.Sequence, doc.Destination, doc.Source, doc.Host))
	t.row("made", doc.Created.Format(time.RFC3339))
	if e.sealed != nil {
		t.row("signed by", e.sealed.key)
		t.row("signature", e.sealed.signature)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return printCarried(out, doc.Images)
}

// printNotDone says what is not as it was asked for, and why.
func (e *export) printNotDone(out io.Writer) {
	for _, of := range []struct {
		what string
		list []leftOut
	}{{"left out", e.left}, {"incomplete", e.incomplete()}, {"not checked", e.notChecked}} {
		for _, l := range byCause(of.list) {
			printText(out, "%s: %s: %s", of.what, l.Name, l.Reason)
		}
	}
}

// printSparse says who cannot read the images of which the index leads to platforms that are not in the bundle.
func printSparse(out io.Writer, images []bundle.Image) {
	if names := sparse(images); len(names) > 0 {
		fmt.Fprintf(out, "sparse: %s: regctl, oras cp and skopeo copy --all read no index without some of its platforms; --flatten writes the image itself\n", strings.Join(names, ", "))
	}
}

// sparse are the names of the images that are sparse.
func sparse(images []bundle.Image) (names []string) {
	for _, i := range images {
		if i.Sparse {
			names = append(names, imageName(&i))
		}
	}
	return names
}

// printCarried lists the images of a bundle with what tells them from any others.
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

// key0 is the ID of the key that signed, "" if none did.
func (e *export) key0() string {
	if e.sealed == nil {
		return ""
	}
	return e.sealed.key
}

// exported is what an export was, for programs.
type exported struct {
	File        string               `json:"file"`
	Bytes       int64                `json:"bytes"`
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
	Sparse      []string             `json:"sparse,omitempty"`     // images of which the index leads to more than is in the bundle
	Skipped     []leftOut            `json:"skipped,omitempty"`    // what was left out, and why
	Incomplete  []leftOut            `json:"incomplete,omitempty"` // what goes without something that could not be fetched, and why
	NotChecked  []leftOut            `json:"notChecked,omitempty"` // what goes as it is stored, and why
}

// descriptions are those of the volumes that were written; none for one plain file.
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

// printImported prints what an import was, for the same form.
func printImported(out io.Writer, name string, s *transfer.Summary) {
	switch {
	case s.Known && s.Next != nil:
		fmt.Fprintf(out, "%s is in already; it goes on with %s\n", name, cmp.Or(volume.File(name, s.Next.Number), fmt.Sprintf("volume %d", s.Next.Number)))
		return
	case s.Known && s.Source == "": // a volume of it, which was not looked into
		fmt.Fprintf(out, "%s: bundle %s is in already, and whole\n", name, s.Bundle)
		return
	case s.Known && s.New == 0:
		fmt.Fprintf(out, "%s: bundle %d from %s is in already, and whole\n", name, s.Sequence, s.Source)
		return
	}
	if s.Next != nil {
		if s.Next.Reason != "" {
			fmt.Fprintf(out, "%s: %s\n", name, s.Next.Reason)
		}
		fmt.Fprintf(out, "%s is in; it goes on with %s\n", name, cmp.Or(volume.File(name, s.Next.Number), fmt.Sprintf("volume %d", s.Next.Number)))
		return
	}
	t := newTable(out, "taken in", fmt.Sprintf("%s, %s of it new, in %s", name, size(s.New), time.Duration(s.Duration*float64(time.Second)).Round(10*time.Millisecond)))
	if s.DryRun {
		t = newTable(out, "would take in", fmt.Sprintf("%s, %s of it new", name, size(s.New)))
	}
	t.row("carries", fmt.Sprintf("%s, %s in %s and %s", count(s.Images, "image", "images"), size(s.Bytes), count(s.Manifests, "manifest", "manifests"), count(s.Blobs, "blob", "blobs")))
	if s.Bundle != "" {
		t.row("bundle", s.Bundle)
		t.row("number", numberOf(s.Sequence, s.Destination, s.Source, s.Host))
		t.row("made", s.Created.Format(time.RFC3339))
	}
	switch {
	case s.Key != "":
		t.row("signed by", s.Key+", which is trusted")
	case s.Signed:
		t.row("signed", "but no key is trusted here that it could be verified with")
	}
	_ = t.Flush()
}

// exportHistory lists the bundles that were sent.
func exportHistory(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	sent := []transfer.ExportedBundle{}
	err := client.Job(cmd.Context(), "export-history", struct{}{}, nil, collectItems(&sent))
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), sent)
	}
	t := newTable(cmd.OutOrStdout(), "DESTINATION", "NUMBER", "SENT", "IMAGES", "SIZE", "BUNDLE")
	for _, s := range sent {
		t.row(s.Destination, fmt.Sprint(s.Sequence), age(s.Exported), fmt.Sprint(s.Images), size(s.Bytes), s.ID)
	}
	return t.Flush()
}
