package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// followInterval is how often 'mirror changes --follow' asks for new changes.
const followInterval = time.Second

// changesConfig are the flags of `mirror changes`.
type changesConfig struct {
	admin.ChangeQuery
	since  string
	follow bool
}

func newChangesCommand() *cobra.Command {
	q, c := &adminCommand{}, changesConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "changes [REPOSITORY | PATTERN]...",
		Short: "List who changed what, and from where",
		Long: `List the latest changes, the oldest first: pushes and deletions of clients, and commands that changed
or exported something, with the user and the address. The mirror keeps 500 of them, also when it is
restarted. With patterns, as those of 'mirror ls', only pushes to these repositories and deletions
from them are listed. 'mirror user' on the machine of the mirror changes a file, and is not listed.

With --server, users who are not administrators see the repositories that they may pull, and who made
a change only if it was they.`,
		Example: `  mirror changes
  mirror changes library 'ghcr.io/org/*' --since 7d
  mirror changes --action push --user ci --follow`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		c.Match = args
		if c.follow {
			return c.followChanges(cmd, client, q.json)
		}
		page, err := client.Changes(cmd.Context(), c.ChangeQuery)
		if err != nil {
			return err
		}
		slices.Reverse(page.Changes)
		if q.json {
			return printJSON(cmd.OutOrStdout(), page.Changes)
		}
		return printChanges(cmd.OutOrStdout(), page.Changes)
	})
	f := cmd.Flags()
	f.StringSliceVar(&c.Actions, "action", nil, "only this `action`, such as push, delete, import, collect or mode; repeatable")
	f.StringVar(&c.User, "user", "", "only changes by this `user`")
	f.StringVar(&c.since, "since", "", "only changes of this `time` before now, such as 24h or 7d")
	f.IntVar(&c.Limit, "limit", 0, "only the latest `number` of changes")
	f.BoolVarP(&c.follow, "follow", "f", false, "print further changes as they happen, with --json one in a line")
	cmd.ValidArgsFunction = q.complete(0, listRepositories)
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		if c.Limit < 0 {
			return &exitError{exitUsage, fmt.Errorf("--limit %d: want 1 or more", c.Limit)}
		}
		if c.since != "" {
			since, err := mirror.ParseDuration(c.since)
			if err != nil {
				return &exitError{exitUsage, fmt.Errorf("--since: %w", err)}
			}
			c.Since = time.Now().Add(-time.Duration(since))
		}
		return nil
	}
	return cmd
}

// followChanges prints the changes, and those that follow until the command is interrupted.
func (c *changesConfig) followChanges(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	for q := c.ChangeQuery; cmd.Context().Err() == nil; sleep(cmd.Context(), followInterval) {
		page, err := client.Changes(cmd.Context(), q)
		if err != nil {
			return err
		}
		slices.Reverse(page.Changes)
		for _, change := range page.Changes {
			q.After, q.Limit = change.Number, 0
			if err := printChange(cmd.OutOrStdout(), change, asJSON); err != nil {
				return err
			}
		}
	}
	return errInterrupted
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// printChange prints a change in a line.
func printChange(out io.Writer, c admin.LoggedChange, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(c)
	}
	_, err := fmt.Fprintln(out, mirror.Printable(strings.Join(changeCells(c, c.Time.Format(time.RFC3339)), "  ")))
	return err
}

func printChanges(out io.Writer, changes []admin.LoggedChange) error {
	if len(changes) == 0 {
		fmt.Fprintln(out, "no changes")
		return nil
	}
	t := newTable(out, "WHEN", "BY", "ACTION", "WHAT")
	for _, c := range changes {
		t.row(changeCells(c, age(c.Time))...)
	}
	return t.Flush()
}

// changeCells returns when a change was made, by whom, the action and what it changed.
func changeCells(c admin.LoggedChange, when string) []string {
	by := "-"
	switch {
	case c.Address != "":
		by = cmp.Or(c.User, "anonymous") + " (" + c.Address + ")"
	case c.User != "":
		by = c.User
	}
	return []string{when, by, c.Action, changedText(c)}
}

// changedText says what a change changed, and why it failed.
func changedText(c admin.LoggedChange) string {
	if c.Error != "" {
		return strings.TrimSpace(c.Target() + " failed: " + c.Error)
	}
	return c.Target()
}
