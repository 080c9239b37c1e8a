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
	q, query := &question{}, admin.Query{}
	cmd := q.command(&cobra.Command{
		Use:   "ls [REPOSITORY[:TAG] | PATTERN]...",
		Short: "List the images that are held, and whether they are complete",
		Long: `List the images that are held, for every tag and platform: whether the image is complete,
so that it runs with no network; its size; where it came from (pushed, mirrored, imported);
and when it was last used.

Repositories are named as the mirror serves them: bare for its default registry, with the
host in front for others. A name lists the repository and everything below it; * and ?
stand for characters of one part of a name, or of a tag. A platform of which the mirror
knows only that it exists is listed as not held.`,
		Example: `  mirror ls
  mirror ls alpine ghcr.io
  mirror ls 'team/*:v1.*'
  mirror ls --incomplete
  mirror ls --json | jq -r '.[] | select(.complete | not) | .repository + ":" + .tag'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		query.Match = args
		images := client.Images(cmd.Context(), query)
		if q.json {
			return listJSON(cmd.OutOrStdout(), images)
		}
		return list(cmd.OutOrStdout(), images)
	})
	cmd.Flags().BoolVar(&query.Incomplete, "incomplete", false, "leave out what is complete")
	return cmd
}

// listJSON prints an array, one image to a line, while the images come.
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
		t.row(image.Name+":"+image.Tag, platform, complete, bytes, originOf(image), age(image.LastUsed), shortDigest(image))
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
		return "not held", "-"
	}
	return "no, lacks " + size(image.Missing), size(image.Size)
}

func shortDigest(image admin.Image) string {
	const most = 12
	encoded := image.Digest.Encoded()
	return encoded[:min(len(encoded), most)]
}

// totals are the footer of a list.
type totals struct {
	repos, tags, images, complete, absent int
	bytes                                 int64
	repo, tag                             string // the last
}

func (s *totals) add(image admin.Image) {
	if image.Repo != s.repo {
		s.repos, s.repo, s.tag = s.repos+1, image.Repo, ""
	}
	if image.Tag != s.tag {
		s.tags, s.tag = s.tags+1, image.Tag
	}
	s.images++
	s.bytes += image.Size - image.Missing
	switch {
	case image.Complete:
		s.complete++
	case image.Size == 0:
		s.absent++
	}
}

// String says it for people.
func (s *totals) String() string {
	return fmt.Sprintf("%s, %s, %s: %d complete, %d incomplete, %d not held; %s, shared layers counted for each",
		count(s.repos, "repository", "repositories"), count(s.tags, "tag", "tags"), count(s.images, "image", "images"),
		s.complete, s.images-s.complete-s.absent, s.absent, size(s.bytes))
}
