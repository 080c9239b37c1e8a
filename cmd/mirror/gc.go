package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// collectConfig is what `mirror gc` can be told.
type collectConfig struct {
	admin.CollectRequest
	quiet bool

	grace, uploads              gc.Age
	maxSize, shrinkTo           gc.Size
	keepFree, freeUpTo          gc.Share
	deleteUntagged, evenOffline bool
}

func newCollectCommand() *cobra.Command {
	q, c := &adminCommand{}, collectConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "gc",
		Short: "Free the space of what nobody needs, while clients push and pull",
		Long: `Free the space of what nobody needs: files that no manifest uses, uploads that were left, and
what the rules in the configuration drop. With a budget (--max-size, --keep-free), images that came
from an upstream go as well, least recently used first, with everything that only they use, until
the budget is met; never those that were pushed or imported unless --evict names them, never
those that are pinned, in use by a transfer, or young, and none that cannot be fetched again now
unless --evict-offline says so.

Flags count in place of what is configured (section gc); see 'mirror config show'.

Exit codes: 0 done, 6 a budget could not be met; others as for serve.`,
		Example: `  mirror gc --dry-run
  mirror gc --dry-run --max-size 500GB --blobs
  mirror gc --delete-untagged --grace 2h
  mirror gc --keep-free 10% --evict 'team/*:pr-*'
  mirror gc --dry-run --json | jq 'select(.kind == "plan").item.totals'`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		return collect(cmd, client, c, q.json)
	})
	f := cmd.Flags()
	f.BoolVarP(&c.DryRun, "dry-run", "n", false, "say what would go and why, and change nothing")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "print nothing but errors")
	f.BoolVar(&c.Blobs, "blobs", false, "list every file, and not only images and how much of them goes")
	f.BoolVar(&c.Protected, "protected", false, "with --dry-run, list every image that something protects, and not only how many for which reason")
	f.TextVar(&c.grace, "grace", gc.Age(0), "keep everything that was added, pulled or asked for within this `time`, as 36h or 30d (default as configured, else 1h)")
	f.TextVar(&c.uploads, "upload-ttl", gc.Age(0), "delete uploads that received no data for this `time`; 0s keeps them (default as configured, else 24h)")
	f.BoolVar(&c.deleteUntagged, "delete-untagged", false, "images that no tag leads to and nobody brought in by digest go as well")
	f.TextVar(&c.maxSize, "max-size", gc.Size(0), "get under this `size`, as 500GB")
	f.TextVar(&c.shrinkTo, "shrink-to", gc.Size(0), "if more than --max-size is held, shrink to this `size` (default 90% of it)")
	f.TextVar(&c.keepFree, "keep-free", gc.Share{}, "leave this `part` of the disk free, as 50GB or 10%")
	f.TextVar(&c.freeUpTo, "free-up-to", gc.Share{}, "if less than --keep-free is free, free up to this `part` of the disk (default a fifth more than it)")
	f.StringSliceVar(&c.Evict, "evict", nil, "for a budget, images that match this `pattern` go even if they were pushed or imported; repeatable")
	f.BoolVar(&c.evenOffline, "evict-offline", false, "images go even if they cannot be fetched again now")
	for _, name := range []string{"grace", "upload-ttl", "max-size", "shrink-to", "keep-free", "free-up-to"} {
		f.Lookup(name).DefValue = ""
	}
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		return c.read(cmd.Flags())
	}
	return cmd
}

// read takes over the flags that were given, and checks them.
func (c *collectConfig) read(f *pflag.FlagSet) error {
	if f.Changed("grace") {
		c.Grace = &c.grace
	}
	if f.Changed("upload-ttl") {
		c.UploadTTL = &c.uploads
	}
	c.noTime()
	if f.Changed("delete-untagged") {
		c.DeleteUntagged = &c.deleteUntagged
	}
	if f.Changed("evict-offline") {
		c.EvictOffline = &c.evenOffline
	}
	if f.Changed("max-size") {
		c.MaxSize = &c.maxSize
	}
	if f.Changed("shrink-to") {
		c.ShrinkTo = &c.shrinkTo
	}
	if f.Changed("keep-free") {
		c.KeepFree = &c.keepFree
	}
	if f.Changed("free-up-to") {
		c.FreeUpTo = &c.freeUpTo
	}
	for _, pattern := range c.Evict {
		if _, d, ok := strings.Cut(pattern, "@"); ok && mirror.ValidShortDigest(d) == nil {
			continue
		}
		if !mirror.ValidPattern(pattern) {
			return &exitError{exitUsage, fmt.Errorf("--evict %q is not a pattern: write a name such as team/app, or team/*:pr-*", pattern)}
		}
	}
	if c.Protected && !c.DryRun {
		return &exitError{exitUsage, errors.New("--protected lists what a dry run finds: say --dry-run as well")}
	}
	return nil
}

// noTime makes a time of nothing what a policy has for that.
func (c *collectConfig) noTime() {
	for _, age := range []*gc.Age{c.Grace, c.UploadTTL} {
		if age != nil && *age == 0 {
			*age = -1
		}
	}
}

// collect asks for a collection, and shows it.
func collect(cmd *cobra.Command, client *admin.Client, c collectConfig, asJSON bool) error {
	view := newCollectView(cmd, c, asJSON)
	err := client.Job(cmd.Context(), "collect", c.CollectRequest, nil, view.event)
	view.end()
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: what went is gone, and everything else is whole")}
	case mirror.CodeOf(err) == mirror.CodeUnsupported:
		return &exitError{exitUsage, err}
	case err != nil:
		return err
	}
	if b := view.budget; b.Shortfall > 0 {
		return &exitError{exitMissing, fmt.Errorf("%s too much would still be held: %s", size(b.Shortfall), b.Reason)}
	}
	return nil
}
