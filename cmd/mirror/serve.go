package main

import (
	"fmt"
	"sync/atomic"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/events"
	"airmirror/cache"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
	"airmirror/upstream"
)

// serveConfig is the configuration of a mirror, and what its parts share while it runs.
type serveConfig struct {
	config.Loaded
	source config.Source
	// live is the configuration in effect, in a server that can reload it; nil elsewhere.
	live *atomic.Pointer[config.Config]
	// observe is called for requests to upstreams, if it is not nil.
	observe func(upstream.RequestInfo)
	// events receives events, if it is not nil.
	events *events.Events
}

// current returns the configuration in effect.
func (c *serveConfig) current() *config.Config {
	if c.live == nil {
		return &c.Config
	}
	return c.live.Load()
}

// load reads the configuration.
func (c *serveConfig) load() error {
	loaded, err := c.source.Load()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	c.Loaded = loaded
	return nil
}

// room is what refuses what the disk has no room for.
func (c serveConfig) room(store mirror.Store) func(need int64) error {
	held, ok := store.(*cache.Store)
	if !ok { // nobody knows how large the disk is
		return nil
	}
	return held.Capacity(func(total int64) int64 { return c.current().Limits.MinFreeOf(total) }).Check
}

// guard is what admits clients.
func guard(c config.Config, log *zap.Logger) (*auth.Guard, error) {
	opts, err := c.Access(log)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	guard, err := auth.New(opts)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return guard, nil
}

func newServeCommand() *cobra.Command {
	var c serveConfig
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the mirror",
		Long: `Run the mirror: serve what is held, take pushes, and fetch what is missing from
upstream registries.

Everything can also be set in a YAML file, see --config, and in the environment: --log-level
is the key logLevel and MIRROR_LOG_LEVEL. A list is separated by commas there. A flag wins over
the environment, and that over the file.

Exit codes: 0 after SIGTERM or SIGINT, 1 failure, 2 flags not understood, 3 data folder
in use by another process, 4 data folder cannot be read or written, 5 address cannot be
listened on.`,
		Example: `  # In front of Docker Hub, with everything kept in ./data
  mirror serve

  # docker.io's names through another endpoint, and a second registry by its host
  mirror serve --upstream docker.io=https://hub.example.com --upstream https://quay.io

  # Cut off: serve what is held, dial nothing
  mirror serve --offline --data /srv/mirror`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{exitUsage, fmt.Errorf("serve takes no arguments, only flags; see 'mirror serve --help'")}
			}
			return nil
		},
		PreRunE: func(*cobra.Command, []string) error { return c.load() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), c, cmd.OutOrStdout()) },
	}
	c.source.Flags(cmd.Flags())
	return cmd
}
