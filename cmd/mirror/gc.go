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

// collectConfig are the flags of `mirror gc`.
type collectConfig struct {
	admin.CollectRequest

	grace, uploads              gc.Age
	maxSize, shrinkTo           gc.Size
	keepFree, freeUpTo          gc.Share
	deleteUntagged, evenOffline bool
}

func newCollectCommand() *cobra.Command {
	q, c := &adminCommand{}, collectConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "gc",
		Short: "Delete unused content",
		Long: `Delete unused content: files that no manifest uses, stale uploads, and tags that the retention rules
do not keep. Clients can push and pull meanwhile.

With a budget (--max-size, --keep-free), mirrored images are evicted as well, least recently used
first, until the budget is met. Pushed and imported images are only evicted if they match --evict.
Images that cannot be fetched again now are only evicted with --evict-offline. Pinned images, images
in a transfer, and everything within the grace period is kept.

Flags override the configuration (section gc); see 'mirror config show'.

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
	f.BoolVarP(&c.DryRun, "dry-run", "n", false, "list what would be deleted and why, and delete nothing")
	addDetachFlag(f)
	f.BoolVar(&c.Blobs, "blobs", false, "list every file, not only images")
	f.BoolVar(&c.Protected, "protected", false, "with --dry-run, list every protected image, not only their number by reason")
	f.TextVar(&c.grace, "grace", gc.Age(0), "grace period: keep everything that was added, pulled or requested within this `time`, such as 36h or 30d (default 1h)")
	f.TextVar(&c.uploads, "upload-ttl", gc.Age(0), "delete uploads that received no data for this `time`; 0s keeps them (default 24h)")
	f.BoolVar(&c.deleteUntagged, "delete-untagged", false, "also delete images without a tag, unless they were pushed or synced by digest")
	f.TextVar(&c.maxSize, "max-size", gc.Size(0), "evict images until the store is below this `size`, such as 500GB")
	f.TextVar(&c.shrinkTo, "shrink-to", gc.Size(0), "when --max-size is exceeded, evict until the store has this `size` (default 90% of --max-size)")
	f.TextVar(&c.keepFree, "keep-free", gc.Share{}, "evict images until this `part` of the disk is free, such as 50GB or 10%")
	f.TextVar(&c.freeUpTo, "free-up-to", gc.Share{}, "when less than --keep-free is free, evict until this `part` of the disk is free (default a fifth more than --keep-free)")
	f.StringSliceVar(&c.Evict, "evict", nil, "for a budget, also evict pushed and imported images that match this `pattern`; repeatable")
	f.BoolVar(&c.evenOffline, "evict-offline", false, "evict images even if they cannot be fetched again now")
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

// read sets the fields of the request for the flags that were given, and validates them.
func (c *collectConfig) read(f *pflag.FlagSet) error {
	if f.Changed("grace") {
		c.Grace = &c.grace
	}
	if f.Changed("upload-ttl") {
		c.UploadTTL = &c.uploads
	}
	c.replaceZeroAges()
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
		return &exitError{exitUsage, errors.New("--protected needs --dry-run")}
	}
	return nil
}

// replaceZeroAges replaces ages of zero by the negative value that a policy has for them, as zero is the default there.
func (c *collectConfig) replaceZeroAges() {
	for _, age := range []*gc.Age{c.Grace, c.UploadTTL} {
		if age != nil && *age == 0 {
			*age = -1
		}
	}
}

// collect runs a collection and shows it.
func collect(cmd *cobra.Command, client *admin.Client, c collectConfig, asJSON bool) error {
	if isDetached(cmd) {
		return startDetached(cmd, client, "collect", c.CollectRequest, asJSON)
	}
	return showCollection(cmd, c, asJSON, func(show eventHandler) error {
		return client.Job(cmd.Context(), "collect", c.CollectRequest, nil, show)
	})
}

// showCollection shows a collection, and returns an error if a budget could not be met.
func showCollection(cmd *cobra.Command, c collectConfig, asJSON bool, run func(eventHandler) error) error {
	view := newCollectView(cmd, c, asJSON)
	err := run(view.event)
	view.end()
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: everything that was not deleted yet is intact")}
	case mirror.CodeOf(err) == mirror.CodeUnsupported:
		return &exitError{exitUsage, err}
	case err != nil:
		return err
	}
	if b := view.budget; b.Shortfall > 0 {
		return &exitError{exitMissing, fmt.Errorf("%s above the budget would still be stored: %s", size(b.Shortfall), b.Reason)}
	}
	return nil
}
