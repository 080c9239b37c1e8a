package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/mirror"
)

// serveConfig is what `mirror serve` can be told.
type serveConfig struct {
	configFile      string
	file            config // what configFile says
	listen          string
	data            string
	upstreams       []string
	knownUpstreams  bool
	offline         bool
	mode            string // "" for what was set last
	fresh           time.Duration
	upstreamTimeout time.Duration
	retryFor        time.Duration
	shutdownTimeout time.Duration
	delete          bool
	logLevel        string
	logFormat       string
}

func newServeCommand() *cobra.Command {
	var c serveConfig
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the mirror",
		Long: `Run the mirror: serve what is held, take pushes, and fetch what is missing from
upstream registries.

Every flag can be given in the environment instead: --log-level is MIRROR_LOG_LEVEL.
A list is separated by commas there. A flag wins.

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
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagsFromEnv(cmd.Flags()); err != nil {
				return err
			}
			if err := checkFolder(c.data); err != nil {
				return err
			}
			return c.checkMode()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), c, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&c.listen, "listen", ":5000", "serve HTTP on this `address`")
	f.StringVar(&c.data, "data", "data", "keep everything in this `folder`")
	c.upstreamFlags(f)
	f.StringVar(&c.mode, "mode", "", "begin in this `mode`: online, offline or auto; see 'mirror mode --help' (default what was set last, else auto)")
	c.fresh = time.Minute
	f.Var((*freshness)(&c.fresh), "fresh", "serve a tag without asking its upstream for this long after it last confirmed it, or forever")
	durationVar(f, &c.shutdownTimeout, "shutdown-timeout", 0, 30*time.Second, "how long transfers may take to end after SIGTERM")
	f.BoolVar(&c.delete, "delete", true, "let clients delete manifests, tags and blobs")
	f.StringVar(&c.logLevel, "log-level", "info", "log from this `level` on: debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "auto", "log in this `format`: console or json; auto is console on a terminal")
	f.SortFlags = false
	return cmd
}

// load reads the configuration file and adds to it what flags say of upstreams.
func (c *serveConfig) load() (err error) {
	if c.file, err = loadConfig(c.configFile); err != nil {
		return err
	}
	c.file, err = c.file.withFlags(c.upstreams, c.knownUpstreams)
	return err
}

// upstreamFlags are the flags that say which upstreams there are and how they are asked. Whatever opens a data folder
// has them.
func (c *serveConfig) upstreamFlags(f *pflag.FlagSet) {
	f.StringVar(&c.configFile, "config", "", "read upstreams and rules from this YAML `file`")
	f.StringSliceVar(&c.upstreams, "upstream", nil, "fetch misses from this registry, `[HOST=]URL`; repeatable, bare names belong to the first (default Docker Hub)")
	f.BoolVar(&c.knownUpstreams, "known-upstreams", true, "also fetch from the registries that are known out of the box")
	f.BoolVar(&c.offline, "offline", false, "dial no upstream, serve what is held, whatever the mode")
	durationVar(f, &c.upstreamTimeout, "upstream-timeout", time.Millisecond, 5*time.Second, "how long an upstream may take to begin an answer")
	durationVar(f, &c.retryFor, "retry-for", 0, 5*time.Minute, "take up a transfer that broke off for this long while nothing new arrives")
}

// checkFolder reports whether the data folder has no name, as a variable makes it that was set to nothing.
func checkFolder(data string) error {
	if data == "" {
		return &exitError{exitUsage, errors.New("the data folder has no name: give it one with --data")}
	}
	return nil
}

// checkMode reports whether the mode that was asked for is none, or not to be had.
func (c *serveConfig) checkMode() error {
	if c.mode == "" {
		return nil
	}
	mode, err := mirror.ParseMode(c.mode)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--mode %s: want online, offline or auto", c.mode)}
	}
	if c.offline && mode != mirror.Offline {
		return &exitError{exitUsage, fmt.Errorf("--mode %s and --offline contradict each other: leave one out", c.mode)}
	}
	return nil
}
