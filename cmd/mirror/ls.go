package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newListCommand() *cobra.Command {
	q, query := &adminCommand{}, admin.Query{}
	cmd := q.command(&cobra.Command{
		Use:   "ls [REPOSITORY[:TAG] | PATTERN]...",
		Short: "List images, and whether they are complete",
		Long: `List the stored images by tag and platform: whether the image is complete, its size, its origin
(pushed, mirrored or imported), and when it was last used. A complete image can be pulled without
an upstream. An image without a tag that was pushed or synced by digest is listed as NAME@DIGEST.
Digests are shortened. Every command accepts shortened digests of 6 digits or more.

Repositories have the names that the mirror serves: without a host for the default registry, and
with the host for others. A name selects a repository and everything below it. In patterns, * and ?
match characters of one part of a name, or of a tag.

A platform is listed if content of it was stored, or if a client requested it. 'mirror status' and
the metrics count the same incomplete images.`,
		Example: `  mirror ls
  mirror ls alpine ghcr.io
  mirror ls 'team/*:v1.*'
  mirror ls app@sha256:4f53a6
  mirror ls --incomplete
  mirror ls --json | jq -r '.[] | select(.complete | not) | .reference'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		query.Match = args
		images := client.Images(cmd.Context(), query)
		if q.json {
			return listJSON(cmd.OutOrStdout(), images)
		}
		return list(cmd.OutOrStdout(), images)
	})
	cmd.Flags().BoolVar(&query.Incomplete, "incomplete", false, "list only incomplete images")
	return cmd
}

// listJSON prints an array with an image on each line, as the images arrive.
func listJSON(out io.Writer, images iter.Seq2[admin.Image, error]) error {
	begin := "[\n  "
	for image, err := range images {
		if err != nil {
			return err
		}
		text, err := json.Marshal(image)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s%s", begin, text); err != nil {
			return err
		}
		begin = ",\n  "
	}
	if begin == "[\n  " {
		_, err := fmt.Fprintln(out, "[]")
		return err
	}
	_, err := fmt.Fprintln(out, "\n]")
	return err
}

func list(out io.Writer, images iter.Seq2[admin.Image, error]) error {
	var sum totals
	t := newTable(out, "IMAGE", "PLATFORM", "COMPLETE", "SIZE", "ORIGIN", "LAST USED", "DIGEST")
	for image, err := range images {
		if err != nil {
			return err
		}
		sum.add(image)
		platform := image.Platform
		if platform == "" {
			platform = "-"
		}
		complete, bytes := completeness(image)
		t.row(nameOf(image), platform, complete, bytes, originOf(image), age(image.LastUsed), shortDigest(image))
	}
	if sum.images == 0 {
		fmt.Fprintln(out, "nothing to list")
		return nil
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\n"+sum.String())
	return nil
}

// nameOf returns the name of an image, with its tag or its shortened digest.
func nameOf(image admin.Image) string {
	if image.Root == "" {
		return image.Name + ":" + image.Tag
	}
	return image.Name + "@" + image.Root.Algorithm().String() + ":" + short(image.Root)
}

func originOf(image admin.Image) string {
	if image.Pinned {
		return string(image.Origin) + ", pinned"
	}
	return string(image.Origin)
}

func completeness(image admin.Image) (complete, bytes string) {
	switch {
	case image.Complete:
		return "yes", size(image.Size)
	case image.Size == 0:
		return "no, nothing stored", "-"
	}
	return "no, missing " + size(image.Missing), size(image.Size)
}

func shortDigest(image admin.Image) string {
	const most = 12
	encoded := image.Digest.Encoded()
	return encoded[:min(len(encoded), most)]
}

// totals are the footer of a list.
type totals struct {
	repos, tags, digests, images, complete int
	bytes                                  int64
	repo, name                             string // of the last image
}

func (s *totals) add(image admin.Image) {
	if image.Repo != s.repo {
		s.repos, s.repo, s.name = s.repos+1, image.Repo, ""
	}
	if name := nameOf(image); name != s.name {
		s.name = name
		if image.Root == "" {
			s.tags++
		} else {
			s.digests++
		}
	}
	s.images++
	s.bytes += image.Size - image.Missing
	if image.Complete {
		s.complete++
	}
}

// String returns the footer.
func (s *totals) String() string {
	tags := count(s.tags, "tag", "tags")
	if s.digests > 0 {
		tags += ", " + count(s.digests, "digest", "digests")
	}
	return fmt.Sprintf("%s, %s, %s: %d complete, %d incomplete; %s, shared layers counted for each",
		count(s.repos, "repository", "repositories"), tags, count(s.images, "image", "images"),
		s.complete, s.images-s.complete, size(s.bytes))
}
