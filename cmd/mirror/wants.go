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
		Short: "List what clients asked for in vain",
		Long: `List what clients asked for and could not be given, because the mirror is offline or an
upstream could not be reached: the most wanted first. A want disappears when it is fulfilled.

With --json this is the file that 'mirror sync --wants' takes, on a mirror that is connected.`,
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
	return q.command(&cobra.Command{
		Use:   "clear [REFERENCE | PATTERN]...",
		Short: "Strike off wants, all of them if none is named",
		Long: `Strike off wants, all of them if none is named. A client that asks again makes a new one.
Patterns are those of 'mirror ls'.`,
		Example: `  mirror wants clear
  mirror wants clear alpine:3 'ghcr.io/org/*'`,
		Args: patterns,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		n, err := client.ForgetWants(cmd.Context(), args...)
		if err != nil {
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), admin.ForgetResult{Count: n})
		}
		fmt.Fprintln(cmd.OutOrStdout(), "struck off "+count(n, "want", "wants"))
		return nil
	})
}

func printWants(out io.Writer, wants []mirror.Want) error {
	if len(wants) == 0 {
		fmt.Fprintln(out, "nothing is wanted")
		return nil
	}
	t := newTable(out, "WANT", "TIMES", "LAST ASKED", "BY", "REASON")
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
