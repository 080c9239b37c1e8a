package main

import (
	"github.com/spf13/cobra"

	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/server"
)

func newServeCommand() *cobra.Command {
	var source config.Source
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the mirror",
		Long: `Run the mirror: serve stored content, accept pushes, and fetch missing content from upstream
registries.

Every setting can also be set in a YAML file (--config) or in the environment: --log-level is the
key logLevel and the variable MIRROR_LOG_LEVEL. Lists in variables are separated by commas. A flag
overrides the variable, and the variable overrides the file. 'mirror config example' prints a file
with all settings.

Exit codes: 0 after SIGTERM or SIGINT, 1 failure, 2 invalid flags or settings, 3 data folder in use
by another process, 4 data folder not readable or writable, 5 address not available.`,
		Example: `  # In front of Docker Hub, with everything stored in ./data
  mirror serve

  # Docker Hub through another endpoint, and a second registry
  mirror serve --upstream docker.io=https://hub.corp --upstream https://reg.corp

  # Isolated: serve stored content and contact no upstream
  mirror serve --offline --data /srv/mirror`,
		Args: usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := load(source)
			if err != nil {
				return err
			}
			return server.Run(cmd.Context(), settings, version, cmd.OutOrStdout())
		},
	}
	source.Flags(cmd.Flags())
	completeSettings(cmd)
	return cmd
}

// load reads the settings. Invalid settings are errors of usage.
func load(source config.Source) (config.Loaded, error) {
	settings, err := source.Load()
	if err != nil {
		return settings, &exitError{exitUsage, err}
	}
	return settings, nil
}
