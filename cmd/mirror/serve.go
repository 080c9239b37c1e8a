package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/api/events"
	"airmirror/cmd/mirror/settings"
	"airmirror/upstream"
)

// serveConfig is what `mirror serve` can be told, and where that was said.
type serveConfig struct {
	config
	configFile string
	origins    settings.Origins
	flagsGiven *pflag.FlagSet // that the settings were read with
	// live is what holds now, in a server that can be told to read its settings again; nil elsewhere.
	live *atomic.Pointer[config]
	// observe is told of requests to upstreams; nobody is if it is nil.
	observe func(upstream.RequestInfo)
	// events takes what happens; nobody does if it is nil.
	events *events.Events
}

// current is what holds now of what can change while a server runs.
func (c *serveConfig) current() *config {
	if c.live == nil {
		return &c.config
	}
	return c.live.Load()
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
		PreRunE: func(cmd *cobra.Command, _ []string) error { return c.load(cmd.Flags()) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), c, cmd.OutOrStdout()) },
	}
	c.flags(cmd.Flags())
	return cmd
}

// flags adds the flags of everything that can be set by one. They hold no value of their own: load reads what was given.
func (c *serveConfig) flags(f *pflag.FlagSet) {
	given := defaults()
	f.StringVar(&given.Listen, "listen", given.Listen, "serve HTTP on this `address`")
	f.StringVar(&given.Data, "data", given.Data, "keep everything in this `folder`")
	c.upstreamFlags(f, &given)
	f.StringVar(&given.Mode, "mode", "", "begin in this `mode`: online, offline or auto; see 'mirror mode --help' (default what was set last, else auto)")
	f.Var(&given.Fresh, "fresh", "serve a tag without asking its upstream for this long after it last confirmed it, or forever")
	f.Var(&given.ShutdownTimeout, "shutdown-timeout", "how long transfers may take to end after SIGTERM")
	f.StringVar(&given.TLS.CertFile, "tls-cert-file", "", "serve by TLS with the certificate in this PEM `file`; 'mirror cert' makes one")
	f.StringVar(&given.TLS.KeyFile, "tls-key-file", "", "its key, in a PEM `file`")
	f.StringVar(&given.TLS.RedirectHTTP, "tls-redirect-http", "", "send clients that come by HTTP on this `address` to HTTPS, as :80")
	f.BoolVar(&given.Delete, "delete", given.Delete, "let clients delete manifests, tags and blobs")
	f.StringVar(&given.LogLevel, "log-level", given.LogLevel, "log from this `level` on: debug, info, warn or error")
	f.StringVar(&given.LogFormat, "log-format", given.LogFormat, "log in this `format`: console or json; auto is console on a terminal")
	f.SortFlags = false
}

// upstreamFlags are the flags that say which upstreams there are and how they are asked. Whatever opens a data folder
// has them.
func (c *serveConfig) upstreamFlags(f *pflag.FlagSet, given *config) {
	f.StringVar(&c.configFile, "config", os.Getenv(settings.EnvPrefix+"CONFIG"), "read settings from this YAML `file`")
	f.StringSliceVar(&given.Upstream, "upstream", nil, "fetch misses from this registry, `[HOST=]URL`; repeatable, bare names belong to the first (default Docker Hub)")
	f.BoolVar(&given.KnownUpstreams, "known-upstreams", given.KnownUpstreams, "also fetch from the registries that are known out of the box")
	f.BoolVar(&given.Offline, "offline", false, "dial no upstream, serve what is held, whatever the mode")
	f.Var(&given.UpstreamTimeout, "upstream-timeout", "how long an upstream may take to begin an answer")
	f.Var(&given.RetryFor, "retry-for", "take up a transfer that broke off for this long while nothing new arrives")
	f.BoolVar(&given.IgnoreNondistributable, "ignore-nondistributable", false, "images are complete without nondistributable (Windows) layers")
}
