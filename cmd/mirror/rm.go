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
		Short: "Remove images by name, and what only they lead to",
		Long: `Remove tags, each with what only it leads to: the image, the platforms of an index, signatures
and what else refers to it. An image that another tag or index leads to as well stays. By its
digest, an image is removed with all its tags; what was brought in by its digest stays until it
is removed by that. A digest may be shortened, to 6 digits or more. The files stay until they are collected, so
that clients that are just pulling end well; with --now, those that nothing else needs go at
once, and a push that just counted on one has to be repeated.

A name must say which tag: write alpine:latest, or alpine:* for all of them. In a pattern, * and ?
stand for characters of one part of a name, and ** for any number of parts.

Exit codes: 0 removed, 1 something was kept, as it was needed since, 6 something is not held,
and nothing was removed; others as for serve.`,
		Example: `  mirror rm alpine:3 ghcr.io/org/app@sha256:4f53…
  mirror rm --now 'team/app:pr-*'
  mirror rm --dry-run 'ghcr.io/org/**:*'`,
		Args: removable,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		req.Names = args
		return remove(cmd, client, req, q.json)
	})
	f := cmd.Flags()
	f.BoolVar(&req.Now, "now", false, "free the space at once, and not by the next collection")
	f.BoolVar(&req.Force, "force", false, "remove even what is pinned")
	f.BoolVarP(&req.DryRun, "dry-run", "n", false, "say what would be removed, and remove nothing")
	return cmd
}

// removable is for commands whose arguments say exactly what is meant.
func removable(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("nothing to remove: name images with their tags")
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

// remove removes what is named, and says what went.
func remove(cmd *cobra.Command, client *admin.Client, req admin.RemoveRequest, asJSON bool) error {
	sum := admin.RemoveSummary{}
	v := &jobView{out: cmd.OutOrStdout(), json: asJSON, summary: &sum}
	v.item = func(e admin.Event) (string, error) {
		var c gc.Candidate
		err := e.Decode(&c)
		return removedLine(&c, req.DryRun), err
	}
	err := client.Job(cmd.Context(), "remove", req, nil, v.event)
	if err != nil {
		return notHeld(err)
	}
	if !asJSON {
		v.line(removedText(sum, req))
	}
	if sum.Kept > 0 {
		return fmt.Errorf("%s kept, as it was needed since: the same command tries again", count(sum.Kept, "image was", "images were"))
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
		return fmt.Sprintf("%s %s, and not what it leads to, which something else needs", did, c.Name)
	}
	name := c.Name
	if len(c.Tags) > 1 {
		repo, _ := admin.SplitTag(name)
		name = repo + ":" + strings.Join(c.Tags, ", :")
	}
	return fmt.Sprintf("%s %s, %s in %s", did, name, size(c.Size), count(c.Manifests, "manifest", "manifests"))
}

// removedText says for people what came of a removal.
func removedText(s admin.RemoveSummary, req admin.RemoveRequest) string {
	what := fmt.Sprintf("%s and %s", count(s.Tags, "tag", "tags"), count(s.Manifests, "manifest", "manifests"))
	switch {
	case req.DryRun:
		return fmt.Sprintf("%s would go, and nothing else needs %s of it", what, size(s.Later))
	case req.Now:
		return fmt.Sprintf("%s removed, %s freed", what, size(s.Freed))
	}
	return fmt.Sprintf("%s removed; the next collection frees %s, once nobody used it for its grace time", what, size(s.Later))
}
