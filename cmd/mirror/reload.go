package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newReloadCommand() *cobra.Command {
	q := &adminCommand{}
	return onlyHere(q.command(&cobra.Command{
		Use:   "reload",
		Short: "Reload the settings of the server",
		Long: `Reload the settings, certificates and users of the server, as SIGHUP does.

Upstreams, users, rules, certificates, trusted keys, retention, limits, proxies, event endpoints
and log settings change at once. Transfers in progress continue. Settings that need a restart are
listed. If a setting is invalid, nothing changes.`,
		Example: `  mirror reload`,
		Args:    noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		reloaded, err := client.Reload(cmd.Context())
		switch {
		case mirror.CodeOf(err) == mirror.CodeUnsupported:
			return &exitError{exitUsage, err}
		case err != nil:
			return err
		}
		if q.json {
			return printJSON(cmd.OutOrStdout(), reloaded)
		}
		text := "reloaded: no setting has changed"
		if len(reloaded.Changed) > 0 {
			text = "reloaded: " + strings.Join(reloaded.Changed, ", ")
		}
		if len(reloaded.Restart) > 0 {
			text += "\nafter a restart: " + strings.Join(reloaded.Restart, ", ")
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	}), "the settings are files of its machine")
}
