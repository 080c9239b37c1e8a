package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// listConfig are the flags of `mirror ls`.
type listConfig struct {
	query  admin.Query
	sort   string
	unused string // see --unused
	limit  int
	format string
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

The output (-o) is a table, a wide table with whole digests and how often clients pulled each image
in the last 90 days, json, yaml, or go-template=TEMPLATE: a line for each image, with the keys of the
JSON output and the function json.

Exit codes: 0 listed, 8 the records of an image cannot be read, which is listed with the reason;
others as for serve.`,
		Example: `  mirror ls
  mirror ls alpine ghcr.io
  mirror ls 'team/**:v1.*'
  mirror ls app@sha256:4f53a6
  mirror ls --incomplete --platform linux/arm64
  mirror ls --origin mirrored --sort used
  mirror ls --sort size --limit 20
  mirror ls --unused 90d
  mirror ls -o go-template='{{.reference}} {{.digest}} {{.size}}'
  mirror ls --json | jq -r '.[] | select(.complete | not) | .reference'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		c.query.Match = args
		selected, err := c.images(cmd.Context(), client)
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
	f.BoolVar(&c.query.Pinned, "pinned", false, "list only pinned images")
	f.StringVar(&c.unused, "unused", "", "list only images that were not used for this `time`, such as 36h or 30d")
	f.StringSliceVar(&c.query.Platforms, "platform", nil, "list only these platforms, `os/arch[/variant]`; repeatable")
	f.StringSliceVar(&c.query.Origins, "origin", nil, "list only images of this `origin`: pushed, mirrored or imported; repeatable")
	f.StringVar(&c.sort, "sort", "", "sort by this `column`: name, size, used or updated; the largest or latest first (default name)")
	f.IntVar(&c.limit, "limit", 0, "list at most this `number` of images (default all)")
	f.StringVarP(&c.format, "output", "o", "", "output `format`: table, wide, json, yaml or go-template=TEMPLATE (default table)")
	printsNames(f)
	cmd.ValidArgsFunction = q.complete(0, listImages)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"platform": q.complete(0, listPlatforms), "origin": oneOf("pushed", "mirrored", "imported"), "sort": oneOf("name", "size", "used", "updated"),
		"output": oneOf(formatTable, formatWide, formatJSON, formatYAML, formatTemplate),
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
	for _, origin := range c.query.Origins {
		if _, err := mirror.ParseOrigin(origin); err != nil {
			return fmt.Errorf("--origin %s: want pushed, mirrored or imported", origin)
		}
	}
	if _, err := mirror.ParsePlatforms(c.query.Platforms); err != nil {
		return fmt.Errorf("--platform: %w", err)
	}
	if _, err := mirror.ParseImageSort(c.sort); err != nil {
		return fmt.Errorf("--sort %s: want name, size, used or updated", c.sort)
	}
	if c.limit < 0 {
		return fmt.Errorf("--limit %d: want 1 or more", c.limit)
	}
	if c.unused != "" {
		unused, err := mirror.ParseDuration(c.unused)
		if err != nil {
			return fmt.Errorf("--unused: %w", err)
		}
		c.query.UnusedSince = time.Now().Add(-time.Duration(unused))
	}
	return checkFormat(c.format)
}

// images returns the images that the flags select, in the order that they ask for.
func (c *listConfig) images(ctx context.Context, client *admin.Client) (iter.Seq2[admin.Image, error], error) {
	order, err := mirror.ParseImageSort(c.sort)
	if err != nil {
		return nil, err
	}
	if c.limit > 0 {
		return c.pages(ctx, client, order), nil
	}
	if order == mirror.SortByName {
		return client.Images(ctx, c.query), nil
	}
	var all []admin.Image
	for image, err := range client.Images(ctx, c.query) {
		if err != nil {
			return nil, err
		}
		all = append(all, image)
	}
	slices.SortStableFunc(all, func(a, b admin.Image) int { return order.Compare(a.Image, b.Image) })
	return func(yield func(admin.Image, error) bool) {
		for _, image := range all {
			if !yield(image, nil) {
				return
			}
		}
	}, nil
}

// pages yields as many images as --limit says, which the mirror selects and orders.
func (c *listConfig) pages(ctx context.Context, client *admin.Client, order mirror.ImageSort) iter.Seq2[admin.Image, error] {
	return func(yield func(admin.Image, error) bool) {
		q := admin.PageQuery{Query: c.query, Sort: order}
		for left := c.limit; left > 0; {
			q.Limit = min(left, admin.MaxPage)
			page, err := client.ImagePage(ctx, q)
			if err != nil {
				yield(admin.Image{}, err)
				return
			}
			for _, image := range page.Images {
				if !yield(image, nil) {
					return
				}
			}
			left -= len(page.Images)
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
}

// print prints the images, or only their names.
func (c *listConfig) print(out io.Writer, images iter.Seq2[admin.Image, error], names bool) error {
	switch {
	case names:
		return listNames(out, images)
	case c.format == formatJSON:
		return listJSON(out, images)
	case strings.HasPrefix(c.format, formatTemplate):
		return listTemplate(out, strings.TrimPrefix(c.format, formatTemplate), images)
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
		head = append(head[:6], "PULLS", "UPDATED", "DIGEST")
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
			row = append(row, fmt.Sprint(image.Pulls), age(image.Updated), cmp.Or(image.Digest.String(), "-"))
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
