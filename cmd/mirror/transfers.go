package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newTransfersCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "transfers",
		Short: "List what is being fetched from upstreams",
		Long: `List the blobs that the mirror downloads from upstreams, and the pulled images that it still has to
complete in the background: those that run, then those that are tried next.`,
		Example: `  mirror transfers
  mirror transfers --json | jq '.waiting'`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		transfers, err := client.Transfers(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), transfers)
		}
		return printTransfers(cmd.OutOrStdout(), transfers)
	})
}

func printTransfers(out io.Writer, transfers mirror.Transfers) error {
	if len(transfers.Downloads)+len(transfers.Backfill) == 0 {
		fmt.Fprintln(out, "nothing is being fetched")
		return nil
	}
	if len(transfers.Downloads) > 0 {
		t := newTable(out, "DOWNLOAD", "RECEIVED", "CLIENTS", "STARTED", "UPSTREAM")
		for _, d := range transfers.Downloads {
			received := size(d.Received)
			if d.Size >= 0 {
				received += " of " + size(d.Size)
			}
			t.row(d.Repo+"@"+short(d.Digest), received, fmt.Sprint(d.Subscribers), age(d.Since), d.Upstream)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(transfers.Backfill) == 0 {
		return nil
	}
	if len(transfers.Downloads) > 0 {
		fmt.Fprintln(out)
	}
	t := newTable(out, "BACKFILL", "STATE", "FAILED TRIES")
	for _, b := range transfers.Backfill {
		state := "waiting"
		switch {
		case b.Running:
			state = "running"
		case !b.Next.IsZero():
			state = "next try " + age(b.Next)
		}
		t.row(b.Ref, state, fmt.Sprint(b.Tries))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := transfers.Waiting - len(transfers.Backfill); more > 0 {
		fmt.Fprintf(out, "and %s more\n", count(more, "image", "images"))
	}
	return nil
}
