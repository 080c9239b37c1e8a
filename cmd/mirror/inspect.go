package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newInspectCommand() *cobra.Command {
	q, raw := &adminCommand{}, false
	cmd := q.command(&cobra.Command{
		Use:   "inspect IMAGE[:TAG|@DIGEST]",
		Short: "Show what is stored of an image",
		Long: `Show what is stored of an image: its platforms, the layers of each and whether they are stored, the
config, the history, and the signatures, attestations and SBOMs that refer to it. SHARED is the
number of other images that use a layer.

Only stored content is shown. Nothing is fetched, and nothing counts as a use of the image.

Exit codes: 0 shown, 6 the image is not stored; others as for serve.`,
		Example: `  mirror inspect alpine:3
  mirror inspect ghcr.io/org/app@sha256:4f53a6
  mirror inspect --raw alpine:3 | jq .
  mirror inspect --json alpine:3 | jq '.platforms[].config.env'`,
		Args: arguments("IMAGE"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		details, err := client.ImageDetails(cmd.Context(), args[0], raw)
		if err != nil {
			return notStored(err)
		}
		switch out := cmd.OutOrStdout(); {
		case q.json:
			return printJSON(out, details)
		case raw:
			_, err := io.WriteString(out, details.Manifest)
			return err
		default:
			return printDetails(out, details)
		}
	})
	cmd.Flags().BoolVar(&raw, "raw", false, "show the manifest as it is stored; with --json, add it as a text")
	cmd.ValidArgsFunction = q.complete(1, listImages)
	return cmd
}

// printDetails prints the details of an image.
func printDetails(out io.Writer, d admin.ImageDetails) error {
	t := newTable(out, "image", d.Reference)
	t.row("digest", d.Digest.String())
	t.row("type", typeText(d.MediaType, d.ArtifactType))
	origin := string(d.Origin)
	if d.Pinned {
		origin += ", pinned"
	}
	t.row("origin", origin)
	if !d.Updated.IsZero() {
		t.row("updated", age(d.Updated))
	}
	if !d.Checked.IsZero() {
		t.row("checked", age(d.Checked)+" with the upstream")
	}
	t.row("last used", age(d.LastUsed))
	for _, key := range slices.Sorted(maps.Keys(d.Annotations)) {
		t.row("annotation", key+": "+d.Annotations[key])
	}
	if tags := strings.Join(d.UsedBy.Tags, ", "); tags != "" {
		t.row("tags", tags)
	}
	for _, index := range d.UsedBy.Indexes {
		t.row("part of", index.String())
	}
	if d.UsedBy.Subject != "" {
		t.row("refers to", d.UsedBy.Subject.String())
	}
	if d.Error != "" {
		t.row("not shown", d.Error)
	}
	if d.Other > 0 {
		t.row("other", count(d.Other, "entry", "entries")+" of the index")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range d.Platforms {
		if err := printPlatform(out, p); err != nil {
			return err
		}
	}
	return printReferrers(out, d)
}

func typeText(mediaType, artifactType string) string {
	if artifactType == "" || artifactType == mediaType {
		return mediaType
	}
	return mediaType + ", " + artifactType
}

// pullsText returns how often an image was pulled, and when last.
func pullsText(days []mirror.PullDay) string {
	var n int64
	for _, day := range days {
		n += day.Pulls
	}
	last := days[len(days)-1]
	return fmt.Sprintf("%d in 90 days, %d of them on %s", n, last.Pulls, last.Day)
}

// printPlatform prints an image for one platform.
func printPlatform(out io.Writer, p mirror.PlatformDetails) error {
	fmt.Fprintln(out)
	name := p.Platform
	if name == "" {
		name = "-"
	}
	t := newTable(out, "platform", name)
	t.row("digest", p.Digest.String())
	switch {
	case !p.Stored:
		t.row("complete", "no, nothing stored")
	case p.Complete:
		t.row("complete", "yes, "+size(p.Size))
	default:
		t.row("complete", fmt.Sprintf("no, missing %s of %s", size(p.Missing), size(p.Size)))
	}
	if len(p.Pulls) > 0 {
		t.row("pulls", pullsText(p.Pulls))
	}
	if p.Error != "" {
		t.row("not shown", p.Error)
	}
	if c := p.Config; c != nil {
		rowsOfConfig(t, c)
	}
	for _, step := range p.History {
		if !step.EmptyLayer {
			t.row("step", step.CreatedBy)
		}
	}
	if err := t.Flush(); err != nil || len(p.Layers) == 0 {
		return err
	}
	fmt.Fprintln(out)
	t = newTable(out, "LAYER", "SIZE", "STORED", "SHARED", "TYPE")
	for _, layer := range p.Layers {
		stored := "yes"
		if !layer.Stored {
			stored = "no"
		}
		name := layer.Digest.Algorithm().String() + ":" + short(layer.Digest)
		if layer.Title != "" {
			name += " " + layer.Title
		}
		t.row(name, size(layer.Size), stored, fmt.Sprint(layer.Shared), layer.MediaType)
	}
	return t.Flush()
}

func rowsOfConfig(t *table, c *mirror.ImageConfig) {
	row := func(name, value string) {
		if value != "" {
			t.row(name, value)
		}
	}
	if !c.Created.IsZero() {
		row("created", c.Created.UTC().Format(time.RFC3339))
	}
	row("user", c.User)
	row("directory", c.WorkingDir)
	row("entrypoint", strings.Join(c.Entrypoint, " "))
	row("command", strings.Join(c.Cmd, " "))
	row("ports", strings.Join(c.ExposedPorts, ", "))
	row("volumes", strings.Join(c.Volumes, ", "))
	for _, variable := range c.Env {
		row("env", variable)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		row("label", key+"="+c.Labels[key])
	}
}

// printReferrers prints what refers to an image.
func printReferrers(out io.Writer, d admin.ImageDetails) error {
	if len(d.Referrers) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	t := newTable(out, "REFERRER", "DIGEST", "OF", "TYPE")
	for _, r := range d.Referrers {
		kind := r.ArtifactType
		if kind == "" {
			kind = r.MediaType
		}
		if r.Tag != "" {
			kind = "tag " + r.Tag
		}
		t.row(string(r.Kind), r.Digest.String(), short(r.Subject), kind)
	}
	if d.MoreReferrers {
		t.row("…", "", "", "there are others")
	}
	return t.Flush()
}
