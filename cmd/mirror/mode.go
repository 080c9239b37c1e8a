package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newModeCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "mode [online|offline|auto | read-only [on|off]]",
		Short: "Print or change the mode, and read-only",
		Long: `Print the mode of the mirror, or change it. The mode also applies after a restart.

  auto     use upstreams; an upstream that does not respond is down until a probe succeeds
  online   use upstreams, and try each request even after failures
  offline  contact no upstream, not even for DNS; requests in progress are interrupted

A server that was started with --offline stays offline.

read-only is a switch of its own, in every mode: the mirror refuses pushes and deletions with status 503, and
passes content from upstreams through without storing it. This also applies after a restart.`,
		Example: `  mirror mode
  mirror mode offline
  mirror mode read-only on`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return nil
			case args[0] == readOnly && (len(args) == 1 || len(args) == 2 && (args[1] == "on" || args[1] == "off")):
				return nil
			case args[0] == readOnly:
				return errors.New("mode read-only takes on or off")
			}
			_, err := mirror.ParseMode(args[0])
			if err == nil && len(args) > 1 {
				err = superfluous(cmd, args[1])
			}
			return err
		},
		ValidArgs: []string{string(mirror.Online), string(mirror.Offline), string(mirror.Auto), readOnly},
	}, func(cmd *cobra.Command, client *admin.Client, args []string) (err error) {
		var mode admin.Mode
		switch {
		case len(args) == 2:
			return switchReadOnly(cmd, client, args[1] == "on", q.json)
		case len(args) == 0 || args[0] == readOnly:
			mode, err = client.Mode(cmd.Context())
		default:
			mode, err = client.SetMode(cmd.Context(), mirror.Mode(args[0]))
		}
		switch {
		case err != nil:
			return err
		case len(args) > 0 && args[0] == readOnly:
			return printReadOnly(cmd, mode.ReadOnly, mode.ReadOnly, q.json)
		case q.json:
			return printJSON(cmd.OutOrStdout(), mode)
		case mode.Was != "" && mode.Was != mode.Mode:
			fmt.Fprintf(cmd.OutOrStdout(), "%s (was %s)\n", mode.Mode, mode.Was)
		default:
			fmt.Fprintln(cmd.OutOrStdout(), mode.Mode)
		}
		if mode.ReadOnly && !q.json {
			fmt.Fprintln(cmd.OutOrStdout(), "read-only is on")
		}
		return nil
	})
}

const readOnly = "read-only"

// switchReadOnly turns the read-only mode on or off.
func switchReadOnly(cmd *cobra.Command, client *admin.Client, on, asJSON bool) error {
	was, err := client.SetReadOnly(cmd.Context(), on)
	if err != nil {
		return err
	}
	return printReadOnly(cmd, on, was, asJSON)
}

// printReadOnly prints whether the mirror is read-only, and whether it was before.
func printReadOnly(cmd *cobra.Command, on, was, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), admin.ReadOnly{On: on, Was: was})
	}
	text := "read-only is " + onOff(on)
	if was != on {
		text += " (was " + onOff(was) + ")"
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
