package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newUsageCommand() *cobra.Command {
	q, history := &adminCommand{}, false
	cmd := q.command(&cobra.Command{
		Use:   "du [REPOSITORY | PATTERN]...",
		Short: "Show the disk usage of repositories",
		Long: `Show the tags, manifests and bytes of each repository, the largest repository first. EXCLUSIVE are
the bytes of files that no other repository uses. Files that repositories share are stored once,
and counted once in the total. Patterns are those of 'mirror ls', without tags.

With --history, show how much was stored on each of the last 400 days on which a server ran.`,
		Example: `  mirror du
  mirror du library ghcr.io
  mirror du --history
  mirror du --json | jq '.total.bytes'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		if history {
			if len(args) > 0 {
				return errHistoryOfAll
			}
			return printHistory(cmd.Context(), cmd.OutOrStdout(), client, q.json)
		}
		var all usages
		err := client.Call(cmd.Context(), "usage", admin.UsageRequest{Match: args}, nil, all.add)
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), all)
		}
		return all.print(cmd.OutOrStdout())
	})
	cmd.Flags().BoolVar(&history, "history", false, "show how much was stored on each day")
	cmd.ValidArgsFunction = q.complete(0, listRepositories)
	return cmd
}

// usages are the results in JSON.
type usages struct {
	Repos []admin.Usage `json:"repositories"`
	Total *admin.Usage  `json:"total,omitempty"` // nil if only some repositories were requested
}

func (u *usages) add(e admin.Event) error {
	var usage admin.Usage
	if err := e.Decode(&usage); err != nil {
		return err
	}
	if e.Kind == admin.KindSummary {
		u.Total = &usage
	} else {
		u.Repos = append(u.Repos, usage)
	}
	return nil
}

func (u *usages) print(out io.Writer) error {
	if len(u.Repos) > 0 {
		t := newTable(out, "REPOSITORY", "TAGS", "MANIFESTS", "EXCLUSIVE", "SHARED", "SIZE")
		for _, repo := range u.Repos {
			t.row(repo.Name, fmt.Sprint(repo.Tags), fmt.Sprint(repo.Manifests), size(repo.Exclusive), size(repo.Shared), size(repo.Bytes))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if u.Total == nil {
		if len(u.Repos) == 0 {
			fmt.Fprintln(out, "nothing to list")
		}
		return nil
	}
	if len(u.Repos) > 0 {
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%s, %s, %s: %s in %s", count(len(u.Repos), "repository", "repositories"), count(u.Total.Tags, "tag", "tags"),
		count(u.Total.Manifests, "manifest", "manifests"), size(u.Total.Bytes), count(u.Total.Blobs, "file", "files"))
	if u.Total.Unlinked > 0 {
		fmt.Fprintf(out, ", of which %s belong to no repository", size(u.Total.Unlinked))
	}
	fmt.Fprintln(out)
	return nil
}
