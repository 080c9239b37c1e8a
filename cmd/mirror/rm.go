package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

func newRemoveCommand() *cobra.Command {
	q, req := &adminCommand{}, admin.RemoveRequest{}
	cmd := q.command(&cobra.Command{
		Use:   "rm IMAGE:TAG|IMAGE@DIGEST|PATTERN...",
		Short: "Remove images by name",
		Long: `Remove tags, and the content that only they use: the image, the platforms of an index, signatures
and other referrers. An image that another tag or index uses is kept. With a digest, the image and
all its tags are removed. An image that was pushed or synced by digest is only removed by digest. A
digest can be shortened to 6 digits or more.

The files are deleted by the next collection, so that running pulls succeed. With --now, they are
deleted at once, and a running push that relies on one of them fails and has to be repeated.

A name needs a tag: write alpine:latest, or alpine:* for all tags. In patterns, * and ? match
characters of one part of a name, and ** matches any number of parts.

Exit codes: 0 removed, 1 an image was kept, as it is used again, 6 an image is not stored, and nothing
was removed; others as for serve.`,
		Example: `  mirror rm alpine:3 ghcr.io/org/app@sha256:4f53…
  mirror rm --now 'team/app:pr-*'
  mirror rm --dry-run 'ghcr.io/org/**:*'`,
		Args: removable,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		req.Names = args
		return remove(cmd, client, req, q.json)
	})
	cmd.ValidArgsFunction = q.complete(0, listImages)
	f := cmd.Flags()
	f.BoolVar(&req.Now, "now", false, "delete the files at once")
	f.BoolVar(&req.Force, "force", false, "also remove pinned images")
	f.BoolVarP(&req.DryRun, "dry-run", "n", false, "list what would be removed, and remove nothing")
	return cmd
}

// removable requires arguments with a tag, a digest or a pattern of tags.
func removable(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("nothing to remove: want names of images with their tags")
	}
	for _, name := range args {
		repo, tag := admin.SplitTag(name)
		if tag == "" && !strings.Contains(name, "@") {
			return fmt.Errorf("%q has no tag: write %s:latest, or '%s:*' for all of its tags", name, name, name)
		}
		if admin.IsPattern(name) && (!mirror.ValidPattern(repo) || !mirror.ValidPattern(tag)) {
			return fmt.Errorf("%q is not a pattern: write a name such as team/app:v1.*", name)
		}
	}
	return nil
}

// remove removes images and shows the result.
func remove(cmd *cobra.Command, client *admin.Client, req admin.RemoveRequest, asJSON bool) error {
	sum := admin.RemoveSummary{}
	v := &jobView{out: cmd.OutOrStdout(), json: asJSON, summary: &sum}
	v.item = func(e admin.Event) (string, error) {
		var c gc.Candidate
		err := e.Decode(&c)
		return removedLine(&c, req.DryRun), err
	}
	err := client.Call(cmd.Context(), "remove", req, nil, v.event)
	if err != nil {
		return notStored(err)
	}
	if !asJSON {
		v.line(removedText(sum, req))
	}
	if sum.Kept > 0 {
		return fmt.Errorf("%s kept, as it is used again: run the same command to retry", count(sum.Kept, "image was", "images were"))
	}
	return nil
}

// removedLine returns the line for a candidate of a removal.
func removedLine(c *gc.Candidate, dryRun bool) string {
	did := "removed"
	if dryRun {
		did = "would remove"
	}
	switch {
	case c.Kept != "":
		return fmt.Sprintf("kept %s: %s", c.Name, c.Kept)
	case c.Kind == gc.Tag:
		return fmt.Sprintf("%s %s, but not its image, which is still used", did, c.Name)
	}
	name := c.Name
	if len(c.Tags) > 1 {
		repo, _ := admin.SplitTag(name)
		name = repo + ":" + strings.Join(c.Tags, ", :")
	}
	return fmt.Sprintf("%s %s, %s in %s", did, name, size(c.Size), count(c.Manifests, "manifest", "manifests"))
}

// removedText returns the summary of a removal.
func removedText(s admin.RemoveSummary, req admin.RemoveRequest) string {
	what := fmt.Sprintf("%s and %s", count(s.Tags, "tag", "tags"), count(s.Manifests, "manifest", "manifests"))
	switch {
	case req.DryRun:
		return fmt.Sprintf("%s would be removed, which frees %s", what, size(s.Later))
	case req.Now:
		return fmt.Sprintf("%s removed, %s freed", what, size(s.Freed))
	}
	return fmt.Sprintf("%s removed; a collection frees %s after the grace period", what, size(s.Later))
}
