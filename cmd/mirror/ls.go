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
		Short: "List the images that are stored, and whether they are complete",
		Long: `List the images that are stored, for every tag and platform: whether the image is complete,
so that it runs with no network; its size; where it came from (pushed, mirrored, imported);
and when it was last used. What was brought in by its digest and has no tag is listed as
NAME@DIGEST. Digests are shortened; every command takes them so, from 6 digits on.

Repositories are named as the mirror serves them: bare for its default registry, with the
host in front for others. A name lists the repository and everything below it; * and ?
stand for characters of one part of a name, or of a tag.

A platform of which nothing was ever stored is not listed, as when another one was synced,
until a client asks for it in vain. An image that is incomplete lacks something that was
stored before or has not come yet; 'mirror status' and the metrics count the same images.`,
		Example: `  mirror ls
  mirror ls alpine ghcr.io
  mirror ls 'team/*:v1.*'
  mirror ls app@sha256:4f53a6
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

// nameOf is what an image is called: by a tag or, in short, by its digest.
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
		return "no, lacks all of it", "-"
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
	repos, tags, digests, images, complete int
	bytes                                  int64
	repo, name                             string // the last
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

// String says it for people.
func (s *totals) String() string {
	tags := count(s.tags, "tag", "tags")
	if s.digests > 0 {
		tags += ", " + count(s.digests, "digest", "digests")
	}
	return fmt.Sprintf("%s, %s, %s: %d complete, %d incomplete; %s, shared layers counted for each",
		count(s.repos, "repository", "repositories"), tags, count(s.images, "image", "images"),
		s.complete, s.images-s.complete, size(s.bytes))
}
