package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
	"airmirror/deploy"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the settings, and show what they are",
		Args:  usage(noArguments),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheckCommand(), newConfigShowCommand(), newConfigExampleCommand(), newConfigSchemaCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	var noFiles bool
	cmd := settingsCommand(&cobra.Command{
		Use:   "check",
		Short: "Check the settings",
		Long: `Check the settings of the file, the environment and the flags, and read the certificates, keys and
users that they name, as 'mirror serve' would; and do nothing else. A mistake is named with its
place, and exits with 2.`,
		Example: `  mirror config check --config mirror.yaml`,
	}, func(cmd *cobra.Command, c config.Loaded) error {
		if !noFiles {
			if err := server.CheckFiles(c, server.NewCommandLogger(zapcore.WarnLevel, os.Stderr)); err != nil {
				return err
			}
		}
		what := "the settings are"
		if c.Source.File != "" {
			what = c.Source.File + " is"
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), what, "in order")
		return err
	})
	cmd.Flags().BoolVar(&noFiles, "no-files", false, "do not read the files that the settings name: the mirror runs on another machine")
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	return settingsCommand(&cobra.Command{
		Use:   "show",
		Short: "Show the settings in effect, and where each came from",
		Long: `Show the settings that 'mirror serve' would run with, as a configuration file, and behind each
where it came from: a line of the file, a variable, a flag or the default. Passwords are masked.`,
		Example: `  MIRROR_TAG_TTL=5m mirror config show --config mirror.yaml`,
	}, func(cmd *cobra.Command, c config.Loaded) error {
		text, err := c.Show()
		if err == nil {
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		}
		return err
	})
}

func newConfigExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration file to begin with",
		Long:    `Print a configuration file with every setting at its default, explained and commented out.`,
		Example: `  mirror config example > mirror.yaml`,
		Args:    usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), deploy.Config)
			return err
		},
	}
}

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON schema of the configuration file",
		Long: `Print a JSON schema of the configuration file. Editors use it to complete and check keys: put
"# yaml-language-server: $schema=mirror.schema.json" into the first line of the file.`,
		Example: `  mirror config schema > mirror.schema.json`,
		Args:    usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.Schema()
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			}
			return err
		},
	}
}

// settingsCommand completes cmd with the flags of serve, which it does something with.
func settingsCommand(cmd *cobra.Command, do func(*cobra.Command, config.Loaded) error) *cobra.Command {
	var source config.Source
	cmd.Args = usage(noArguments)
	source.Flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load(source)
		if err != nil {
			return err
		}
		return do(cmd, settings)
	}
	return cmd
}
