package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newConsoleCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := onlyHere(q.command(&cobra.Command{
		Use:   "console",
		Short: "Print the address of the web console, to log in",
		Long: `Print the address of the web console. As long as no user has a password, the address is a link that
logs in once, within a minute, and may administer the mirror until there is a user. A new link
replaces the one before it. With users, the address leads to the page for logging in.

The link needs no password. It can only be made on the machine of the mirror, by an account that can
open the socket in its data folder.`,
		Example: `  mirror console
  xdg-open "$(mirror console --quiet)"`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		link, err := client.ConsoleLink(cmd.Context())
		out := cmd.OutOrStdout()
		switch {
		case err != nil:
			return err
		case q.json:
			return printJSON(out, link)
		}
		fmt.Fprintln(out, link.URL)
		if link.ValidFor > 0 && !q.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "The link logs in once, within %d seconds.\n", link.ValidFor)
		}
		return nil
	}), "a link is only made on the machine of the mirror")
	printsNames(cmd.Flags())
	cmd.Flags().Lookup(quietFlag).Usage = "print only the address"
	return cmd
}
