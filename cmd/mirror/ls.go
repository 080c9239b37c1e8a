package main

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// listConfig are the flags of `mirror ls`.
type listConfig struct {
	query     admin.Query
	platforms []string
	origins   []string
	sort      string
	format    string
}

func newListCommand() *cobra.Command {
	q, c := &adminCommand{}, listConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "ls [REPOSITORY[:TAG] | PATTERN]...",
		Short: "List images, and whether they are complete",
		Long: `List the stored images by tag and platform: whether the image is complete, its size, its origin
(pushed, mirrored or imported), and when it was last used. A complete image can be pulled without
an upstream. An image without a tag that was pushed or synced by digest is listed as NAME@DIGEST.
Digests are shortened. Every command accepts shortened digests of 6 digits or more.

Repositories have the names that the mirror serves: without a host for the default registry, and
with the host for others. A name selects a repository and everything below it.

In patterns, * and ? match characters of one part of a name, or of a tag, and ** matches any number
of parts. All commands and settings use the same patterns.

A platform is listed if content of it was stored, or if a client requested it. 'mirror status' and
the metrics count the same incomplete images.

The output (-o) is a table, a wide table with whole digests, json or yaml.

Exit codes: 0 listed, 8 the records of an image cannot be read, which is listed with the reason;
others as for serve.`,
		Example: `  mirror ls
  mirror ls alpine ghcr.io
  mirror ls 'team/**:v1.*'
  mirror ls app@sha256:4f53a6
  mirror ls --incomplete --platform linux/arm64
  mirror ls --origin mirrored --sort used
  mirror ls --json | jq -r '.[] | select(.complete | not) | .reference'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		c.query.Match = args
		selected, err := c.selected(client.Images(cmd.Context(), c.query))
		if err != nil {
			return err
		}
		unreadable := 0
		if err := c.print(cmd.OutOrStdout(), countUnreadable(selected, &unreadable), q.quiet); err != nil {
			return err
		}
		if unreadable > 0 {
			return &exitError{exitDefects, fmt.Errorf("%s cannot be read: see 'mirror verify'", count(unreadable, "image", "images"))}
		}
		return nil
	})
	f := cmd.Flags()
	f.BoolVar(&c.query.Incomplete, "incomplete", false, "list only incomplete images")
	f.StringSliceVar(&c.platforms, "platform", nil, "list only these platforms, `os/arch[/variant]`; repeatable")
	f.StringSliceVar(&c.origins, "origin", nil, "list only images of this `origin`: pushed, mirrored or imported; repeatable")
	f.StringVar(&c.sort, "sort", "", "sort by this `column`: name, size, used or updated; the largest or latest first (default name)")
	f.StringVarP(&c.format, "output", "o", "", "output `format`: table, wide, json or yaml (default table)")
	printsNames(f)
	cmd.ValidArgsFunction = q.complete(0, listImages)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"platform": q.complete(0, listPlatforms), "origin": oneOf("pushed", "mirrored", "imported"), "sort": oneOf("name", "size", "used", "updated"),
		"output": oneOf(formatTable, formatWide, formatJSON, formatYAML),
	})
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if q.json {
			if c.format != "" && c.format != formatJSON {
				return &exitError{exitUsage, fmt.Errorf("--json and --output %s cannot be combined", c.format)}
			}
			c.format = formatJSON
		}
		if err := c.check(); err != nil {
			return &exitError{exitUsage, err}
		}
		return fromEnv(cmd, args)
	}
	return cmd
}

// countUnreadable counts the images whose records cannot be read.
func countUnreadable(images iter.Seq2[admin.Image, error], n *int) iter.Seq2[admin.Image, error] {
	return func(yield func(admin.Image, error) bool) {
		for image, err := range images {
			if image.Error != "" {
				*n++
			}
			if !yield(image, err) {
				return
			}
		}
	}
}

// check validates the flags.
func (c *listConfig) check() error {
	for _, origin := range c.origins {
		if !slices.Contains([]mirror.Origin{mirror.Pushed, mirror.Mirrored, mirror.Imported}, mirror.Origin(origin)) {
			return fmt.Errorf("--origin %s: want pushed, mirrored or imported", origin)
		}
	}
	if _, err := mirror.ParsePlatforms(c.platforms); err != nil {
		return fmt.Errorf("--platform: %w", err)
	}
	if _, known := imageOrders[c.sort]; !known {
		return fmt.Errorf("--sort %s: want name, size, used or updated", c.sort)
	}
	return checkFormat(c.format)
}

// imageOrders are the orders of a list, by the value of --sort. Images are listed by name.
var imageOrders = map[string]func(a, b admin.Image) int{
	"":     nil,
	"name": nil,
	"size": func(a, b admin.Image) int { return compare(b.Size, a.Size) },
	"used": func(a, b admin.Image) int { return b.LastUsed.Compare(a.LastUsed) },
	"updated": func(a, b admin.Image) int {
		return b.Updated.Compare(a.Updated)
	},
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// selected returns the images that the flags select, in the order that they ask for.
func (c *listConfig) selected(images iter.Seq2[admin.Image, error]) (iter.Seq2[admin.Image, error], error) {
	platforms, err := mirror.ParsePlatforms(c.platforms)
	if err != nil {
		return nil, err
	}
	filtered := func(yield func(admin.Image, error) bool) {
		for image, err := range images {
			if err == nil && !c.accepts(image, platforms) {
				continue
			}
			if !yield(image, err) {
				return
			}
		}
	}
	order := imageOrders[c.sort]
	if order == nil {
		return filtered, nil
	}
	var all []admin.Image
	for image, err := range filtered {
		if err != nil {
			return nil, err
		}
		all = append(all, image)
	}
	slices.SortStableFunc(all, order)
	return func(yield func(admin.Image, error) bool) {
		for _, image := range all {
			if !yield(image, nil) {
				return
			}
		}
	}, nil
}

// accepts reports whether the flags select an image.
func (c *listConfig) accepts(image admin.Image, platforms mirror.Platforms) bool {
	if len(c.origins) > 0 && !slices.Contains(c.origins, string(image.Origin)) {
		return false
	}
	if len(platforms) == 0 {
		return true
	}
	own, err := mirror.ParsePlatforms([]string{image.Platform})
	return err == nil && len(own) == 1 && platforms.Accept(own[0])
}

// print prints the images, or only their names.
func (c *listConfig) print(out io.Writer, images iter.Seq2[admin.Image, error], names bool) error {
	switch {
	case names:
		return listNames(out, images)
	case c.format == formatJSON:
		return listJSON(out, images)
	case c.format == "" || c.format == formatTable || c.format == formatWide:
		return list(out, images, c.format == formatWide)
	}
	all := []admin.Image{}
	for image, err := range images {
		if err != nil {
			return err
		}
		all = append(all, image)
	}
	return printYAML(out, all)
}

// listNames prints the name of each image once.
func listNames(out io.Writer, images iter.Seq2[admin.Image, error]) error {
	last := ""
	for image, err := range images {
		if err != nil {
			return err
		}
		if image.Reference != last {
			last = image.Reference
			printText(out, "%s", last)
		}
	}
	return nil
}

// list prints a table of images.
func list(out io.Writer, images iter.Seq2[admin.Image, error], wide bool) error {
	var sum totals
	head := []string{"IMAGE", "PLATFORM", "COMPLETE", "SIZE", "ORIGIN", "LAST USED", "DIGEST"}
	if wide {
		head = append(head[:6], "UPDATED", "DIGEST")
	}
	t := newTable(out, head...)
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
		row := []string{nameOf(image), platform, complete, bytes, originOf(image), age(image.LastUsed)}
		if wide {
			row = append(row, age(image.Updated), cmp.Or(image.Digest.String(), "-"))
		} else {
			row = append(row, shortDigest(image))
		}
		t.row(row...)
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
	case image.Error != "":
		return "unknown: " + image.Error, "-"
	case image.Size == 0:
		return "no, nothing stored", "-"
	}
	return "no, missing " + size(image.Missing), size(image.Size)
}

func shortDigest(image admin.Image) string {
	const most = 12
	if image.Digest == "" { // the record of its tag cannot be read
		return "-"
	}
	encoded := image.Digest.Encoded()
	return encoded[:min(len(encoded), most)]
}

// totals are the footer of a list.
type totals struct {
	repos, tags, digests map[string]bool
	images, complete     int
	bytes                int64
}

func (s *totals) add(image admin.Image) {
	if s.repos == nil {
		s.repos, s.tags, s.digests = map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
	s.repos[image.Repo] = true
	if image.Root == "" {
		s.tags[nameOf(image)] = true
	} else {
		s.digests[nameOf(image)] = true
	}
	s.images++
	s.bytes += image.Size - image.Missing
	if image.Complete {
		s.complete++
	}
}

// String returns the footer.
func (s *totals) String() string {
	tags := count(len(s.tags), "tag", "tags")
	if len(s.digests) > 0 {
		tags += ", " + count(len(s.digests), "digest", "digests")
	}
	return strings.Join([]string{count(len(s.repos), "repository", "repositories"), tags,
		fmt.Sprintf("%s: %d complete, %d incomplete; %s, shared layers counted for each",
			count(s.images, "image", "images"), s.complete, s.images-s.complete, size(s.bytes))}, ", ")
}
