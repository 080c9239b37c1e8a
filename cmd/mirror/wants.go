package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newWantsCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "wants",
		Short: "List images that clients requested and could not get",
		Long: `List the images that clients requested and could not get, because the mirror is offline or an
upstream was not reachable. The most requested images come first. A want is deleted when the image
is stored.

With --json, the output is a file for 'mirror sync --wants' on a connected mirror.`,
		Example: `  mirror wants
  mirror wants --json > wants.json
  mirror wants clear docker.io/library/alpine:3`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		wants, err := client.Wants(cmd.Context())
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), wants)
		}
		return printWants(cmd.OutOrStdout(), wants)
	})
	cmd.AddCommand(newClearCommand())
	return cmd
}

func newClearCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "clear [REFERENCE | PATTERN]...",
		Short: "Delete wants",
		Long: `Delete the wants that match, or all wants. A further request of a client creates a new want.
Patterns are those of 'mirror ls'.`,
		Example: `  mirror wants clear
  mirror wants clear alpine:3 'ghcr.io/org/*'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		n, err := client.ForgetWants(cmd.Context(), args...)
		if err != nil {
			return notStored(err)
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), admin.ForgetResult{Count: n})
		}
		fmt.Fprintln(cmd.OutOrStdout(), "deleted "+count(n, "want", "wants"))
		return nil
	})
	cmd.ValidArgsFunction = q.complete(0, listWants)
	return cmd
}

func printWants(out io.Writer, wants []mirror.Want) error {
	if len(wants) == 0 {
		fmt.Fprintln(out, "nothing is wanted")
		return nil
	}
	t := newTable(out, "WANT", "TIMES", "LAST REQUEST", "BY", "REASON")
	for _, want := range wants {
		ref := want.Ref
		switch {
		case want.Blob:
			ref = "blob " + ref
		case want.Platform != "":
			ref += " (" + want.Platform + ")"
		}
		by := strings.Join(want.Clients, ", ")
		if by == "" {
			by = "-"
		}
		t.row(ref, fmt.Sprint(want.Count), age(want.Last), by, want.Reason)
	}
	return t.Flush()
}
