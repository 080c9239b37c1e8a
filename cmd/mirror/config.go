package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
	"airmirror/cmd/mirror/server"
	"airmirror/deploy"
)

func newConfigCommand() *cobra.Command {
	return parentCommand(&cobra.Command{
		Use:   "config",
		Short: "Check and show the settings",
		Example: `  mirror config example > mirror.yaml
  mirror config check --config mirror.yaml
  mirror serve --config mirror.yaml`,
	}, newConfigExampleCommand(), newConfigCheckCommand(), newConfigShowCommand(), newConfigSchemaCommand())
}

func newConfigCheckCommand() *cobra.Command {
	var noFiles bool
	cmd := settingsCommand(&cobra.Command{
		Use:   "check",
		Short: "Check the settings",
		Long: `Check the settings in the file, the environment and the flags, and the certificates, keys and users
that they name, as 'mirror serve' does. All mistakes are listed with their lines, and the exit code is 2. The files are checked when
the settings are valid.`,
		Example: `  mirror config check --config mirror.yaml`,
	}, func(cmd *cobra.Command, c config.Loaded, asJSON bool) error {
		if !noFiles {
			if err := server.CheckFiles(c, server.NewCommandLogger(zapcore.WarnLevel, os.Stderr)); err != nil {
				return err
			}
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), checkedConfig{Valid: true, File: c.Source.File})
		}
		what := "the settings are"
		if c.Source.File != "" {
			what = c.Source.File + " is"
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), what, "valid")
		return err
	})
	cmd.Flags().BoolVar(&noFiles, "no-files", false, "do not check the files that the settings name, for a mirror on another machine")
	return cmd
}

// checkedConfig is the result of a check in JSON. Invalid settings are an error.
type checkedConfig struct {
	Valid bool   `json:"valid"`
	File  string `json:"file,omitempty"`
}

// shownConfig are the settings in effect in JSON, and where those come from that are no defaults.
type shownConfig struct {
	Settings map[string]any    `json:"settings"`
	Origins  map[string]string `json:"origins"`
}

func newConfigShowCommand() *cobra.Command {
	cmd := settingsCommand(&cobra.Command{
		Use:   "show [SETTING]...",
		Short: "Show the settings in effect and their origin",
		Long: `Show the settings of 'mirror serve', all or some, as a configuration file. A comment behind each
setting has its origin: a line of the file, a variable, a flag or the default. Secrets are masked.`,
		Example: `  MIRROR_TAG_TTL=5m mirror config show --config mirror.yaml
  mirror config show --config mirror.yaml upstreams auth.rules`,
	}, func(cmd *cobra.Command, c config.Loaded, asJSON bool) error {
		text, err := c.Show(cmd.Flags().Args()...)
		if err == nil && asJSON {
			shown := shownConfig{Origins: originsOf(c.Origins, cmd.Flags().Args())}
			if err := yaml.Unmarshal([]byte(text), &shown.Settings); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), shown)
		}
		if err == nil {
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		}
		return err
	})
	cmd.Args = usage(settingNames)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		others := slices.DeleteFunc(config.Paths(), func(path string) bool { return !strings.HasPrefix(path, prefix) || slices.Contains(args, path) })
		return others, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// originsOf returns the origins of some settings, or of all.
func originsOf(all map[string]string, paths []string) map[string]string {
	if len(paths) == 0 {
		return all
	}
	some := map[string]string{}
	for key, origin := range all {
		if slices.ContainsFunc(paths, func(path string) bool { return key == path || strings.HasPrefix(key, path+".") }) {
			some[key] = origin
		}
	}
	return some
}

// settingNames validates arguments that are settings or sections of settings.
func settingNames(_ *cobra.Command, args []string) error {
	known := config.Paths()
	for _, name := range args {
		if slices.Contains(known, name) {
			continue
		}
		hint := ""
		if meant, ok := settings.Nearest(name, known); ok {
			hint = ": did you mean " + meant + "?"
		}
		return fmt.Errorf("there is no setting %q%s", name, hint)
	}
	return nil
}

func newConfigExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print an example of a configuration file",
		Long:    `Print a configuration file with all settings, explained and commented out at their defaults.`,
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

// settingsCommand completes cmd with the flags of serve, and has it call do with the settings.
func settingsCommand(cmd *cobra.Command, do func(cmd *cobra.Command, c config.Loaded, asJSON bool) error) *cobra.Command {
	var source config.Source
	var o output
	cmd.Args = usage(noArguments)
	source.Flags(cmd.Flags())
	o.flags(cmd.Flags())
	completeSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load(source)
		if err != nil {
			return err
		}
		return do(cmd, settings, o.json)
	}
	return cmd
}
