package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newModeCommand() *cobra.Command {
	q := &question{}
	return q.command(&cobra.Command{
		Use:   "mode [online|offline|auto]",
		Short: "Print or switch whether upstreams are asked",
		Long: `Print the mode that the mirror is in, or switch to another one. It is kept until it is
switched again, across restarts.

  auto     ask upstreams; one that does not answer counts as gone until a probe finds it back
  online   ask upstreams every time
  offline  dial nothing: not a ping, not a look-up of a name. Going offline ends at once what
           is under way with upstreams

A mirror that was started with --offline stays offline.`,
		Example: `  mirror mode
  mirror mode offline`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			_, err := mirror.ParseMode(args[0])
			if err == nil && len(args) > 1 {
				err = errors.New("mode takes one argument")
			}
			return err
		},
		ValidArgs: []string{string(mirror.Online), string(mirror.Offline), string(mirror.Auto)},
	}, func(cmd *cobra.Command, client *admin.Client, args []string) (err error) {
		var mode admin.Mode
		if len(args) == 0 {
			mode, err = client.Mode(cmd.Context())
		} else {
			mode, err = client.SetMode(cmd.Context(), mirror.Mode(args[0]))
		}
		switch {
		case err != nil:
			return err
		case q.json:
			return printJSON(cmd.OutOrStdout(), mode)
		case mode.Was != "" && mode.Was != mode.Mode:
			fmt.Fprintf(cmd.OutOrStdout(), "%s (was %s)\n", mode.Mode, mode.Was)
		default:
			fmt.Fprintln(cmd.OutOrStdout(), mode.Mode)
		}
		return nil
	})
}
