package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newUsageCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "du [REPOSITORY | PATTERN]...",
		Short: "Say how much each repository holds",
		Long: `Say how much each repository holds, the largest first: its tags and manifests, and the bytes of
their files, of which EXCLUSIVE are those that no other repository has. What repositories share
is on the disk once, and once in the total. Patterns are those of 'mirror ls', without tags.`,
		Example: `  mirror du
  mirror du library ghcr.io
  mirror du --json | jq '.total.bytes'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		var all usages
		err := client.Job(cmd.Context(), "usage", admin.UsageRequest{Match: args}, nil, all.add)
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), all)
		}
		return all.print(cmd.OutOrStdout())
	})
}

// usages are what repositories hold.
type usages struct {
	Repos []admin.Usage `json:"repositories"`
	Total *admin.Usage  `json:"total,omitempty"` // of all there are, if all were asked for
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
		fmt.Fprintf(out, ", of which %s are in no repository", size(u.Total.Unlinked))
	}
	fmt.Fprintln(out)
	return nil
}
