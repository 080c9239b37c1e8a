package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/settings"
	"airmirror/mirror"
	"airmirror/upstream"
)

// config is everything that can be set: by the file that --config names, by the environment, by flags. Its fields are the
// keys; see [settings] for what their variables and flags are called.
type config struct {
	Listen string `yaml:"listen"`
	// TrustedProxies are addresses and networks of proxies that are believed who they forward for; see [middleware.Settings].
	TrustedProxies []string `yaml:"trustedProxies"`
	Data           string   `yaml:"data"`
	// Upstream are those that flags name, [HOST=]URL; they come before Upstreams. The first of all is the default registry.
	Upstream  []string         `yaml:"upstream"`
	Upstreams []upstreamConfig `yaml:"upstreams"`
	// KnownUpstreams says whether there are those that need no configuration.
	KnownUpstreams bool `yaml:"knownUpstreams"`
	// Local are patterns of repositories, host included, that are never asked upstream for, whoever created them;
	// Mirrored of those that are, even if they were created by a push.
	Local    []string `yaml:"local"`
	Mirrored []string `yaml:"mirrored"`
	// OwnNames are addresses that clients reach this mirror by, beside those that it knows itself; see [config.addresses].
	OwnNames []string `yaml:"ownNames"`

	TLS     tlsConfig     `yaml:"tls"`
	Auth    authConfig    `yaml:"auth"`
	Bundles bundlesConfig `yaml:"bundles"`
	GC      gcConfig      `yaml:"gc"`
	Verify  scrubConfig   `yaml:"verify"`
	Limits  limitsConfig  `yaml:"limits"`
	Metrics metricsConfig `yaml:"metrics"`
	Audit   auditConfig   `yaml:"audit"`
	Events  eventsConfig  `yaml:"events"`

	Offline         bool      `yaml:"offline"`
	Mode            string    `yaml:"mode"` // "" for what was set last
	Fresh           freshness `yaml:"fresh"`
	UpstreamTimeout duration  `yaml:"upstreamTimeout"`
	RetryFor        duration  `yaml:"retryFor"`
	ShutdownTimeout duration  `yaml:"shutdownTimeout"`
	Delete          bool      `yaml:"delete"`
	LogLevel        string    `yaml:"logLevel"`
	LogFormat       string    `yaml:"logFormat"`
	AccessLog       bool      `yaml:"accessLog"` // a line for each request
	// IgnoreNondistributable has images count as complete without their nondistributable layers.
	IgnoreNondistributable bool `yaml:"ignoreNondistributable"`

	own map[string]bool // addresses of this mirror; see [mirror.Names.Own]
}

// defaults are what holds where nothing is said.
func defaults() config {
	return config{
		Listen: ":5000", Data: "data", KnownUpstreams: true, Auth: authConfig{AnonymousPull: true, LoopbackPush: loopbackClients}, Fresh: freshness(time.Minute), UpstreamTimeout: duration(5 * time.Second),
		RetryFor: duration(5 * time.Minute), ShutdownTimeout: duration(30 * time.Second), Delete: true, LogLevel: "info", LogFormat: "auto",
		GC: defaultGC(), Verify: scrubConfig{Rate: 10 << 20},
		Limits: defaultLimits(), Metrics: metricsConfig{Enabled: true}, Events: eventsConfig{Queue: defaultEventQueue},
	}
}

// upstreamConfig is one upstream, with how its content is kept up to date.
type upstreamConfig struct {
	upstream.Config `yaml:",inline"`
	// Fresh is how long a tag is served without asking again; --fresh if it is not said.
	Fresh *freshness `yaml:"fresh,omitempty"`
	// FreshTags say it for some tags; the first pattern that matches counts. It is matched with repository:tag, or
	// with the repository where it has no colon.
	FreshTags []freshTags `yaml:"freshTags,omitempty"`
	// Complete says whether the rest of an image is fetched when it is pulled; it is if this is not said.
	Complete *bool `yaml:"complete,omitempty"`
	// Referrers has signatures and everything else that refers to the image fetched with it.
	Referrers bool `yaml:"referrers,omitempty"`
}

type freshTags struct {
	Match string    `yaml:"match"`
	Fresh freshness `yaml:"fresh,omitempty"`
}

// load fills c from the file, the environment and the flags that were given, and checks it.
func (c *serveConfig) load(flags *pflag.FlagSet) error {
	layers := settings.Layers{File: c.configFile, Environ: os.Environ(), Flags: map[string]string{}}
	if c.configFile != "" {
		text, err := os.ReadFile(c.configFile)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("cannot read the configuration: %w", err)}
		}
		layers.Text = mirror.Text(text)
	}
	given := defaults()
	for _, key := range settings.Keys(&given) {
		if f := flags.Lookup(key.Flag); f != nil && f.Changed {
			layers.Flags[key.Path] = flagText(f)
		}
	}
	filled := defaults()
	origins, err := settings.Load(&filled, layers)
	if err == nil {
		filled, err = filled.check(origins)
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	c.config, c.origins, c.flagsGiven = filled, origins, flags
	return nil
}

// flagText is the value of a flag in YAML.
func flagText(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		text, _ := json.Marshal(list.GetSlice()) // of strings
		return string(text)
	}
	return f.Value.String()
}

// check reports what is wrong with what is set, by its origin, and returns c with all its upstreams in Upstreams: what
// Upstream says in front, and those that need no configuration behind.
func (c config) check(origins settings.Origins) (config, error) {
	var err error
	for _, check := range []struct {
		key   string
		check func() error
	}{
		{"listen", func() error { return checkAddress(c.Listen) }},
		{"metrics.listen", func() error { return checkAddress(cmp.Or(c.Metrics.Listen, c.Listen)) }},
		{"tls.redirectHTTP", func() error { return checkAddress(cmp.Or(c.TLS.RedirectHTTP, c.Listen)) }},
		{"data", c.checkFolder},
		{"trustedProxies", c.checkProxies},
		{"upstreams", c.checkUpstreams},
		{"local", func() error { return checkPatterns(c.Local) }},
		{"mirrored", func() error { return checkPatterns(c.Mirrored) }},
		{"upstreamTimeout", func() error { return c.UpstreamTimeout.atLeast(time.Millisecond) }},
		{"mode", c.checkMode},
		{"tls.certFile", c.TLS.check},
		{"gc", c.GC.check},
		{"verify.every", c.Verify.check},
		{"limits.requests", c.Limits.check},
		{"events.queue", c.Events.checkQueue},
		{"events.endpoints", c.Events.checkEndpoints},
		{"logLevel", func() error { return checkLevel(c.LogLevel) }},
		{"logFormat", func() error { return checkFormat(c.LogFormat) }},
		{"upstream", func() error { c, err = c.withUpstreams(); return err }},
		{"auth.anonymousPull", func() error { return c.Auth.checkUnruled(origins, "auth.anonymousPull", c.Auth.AnonymousPull) }},
		{"auth.anonymousPush", func() error { return c.Auth.checkUnruled(origins, "auth.anonymousPush", c.Auth.AnonymousPush) }},
		{"auth.rules", func() error { return c.Auth.checkRules(c.names()) }},
		{"auth.token.realm", c.Auth.Token.check},
		{"auth.url", c.Auth.checkURL},
		{"bundles.destination", c.Bundles.checkDestination},
		{"ownNames", c.checkOwnNames},
	} {
		if err := check.check(); err != nil {
			return c, said(origins, check.key, err)
		}
	}
	c.own = c.addresses()
	return c, nil
}

// said puts in front of an error, which begins with the value that is wrong, where that was said.
func said(origins settings.Origins, key string, err error) error {
	where, ok := origins[key]
	switch {
	case !ok:
		return err
	case strings.HasPrefix(where, "--"):
		return fmt.Errorf("%s %w", where, err)
	case strings.HasPrefix(where, settings.EnvPrefix):
		return fmt.Errorf("%s=%w", where, err)
	}
	return fmt.Errorf("%s: %s: %w", where, key, err)
}

// checkAddress reports whether text is no address to listen on. Without a port it would be any that is free.
func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%q is no address to listen on: write it as :5000 or 10.0.0.5:5000", text)
	}
	return nil
}

// checkFolder reports whether the data folder has no name, as a variable makes it that was set to nothing.
func (c config) checkFolder() error {
	if c.Data == "" {
		return errors.New("\"\": the data folder has no name: give it one with --data")
	}
	return nil
}

func (c config) checkUpstreams() error {
	hosts := map[string]bool{}
	for _, u := range c.Upstreams {
		if err := u.Validate(); err != nil {
			return err
		}
		host := mirror.CanonicalHost(u.Host)
		if hosts[host] {
			return fmt.Errorf("upstream %s is there twice: give one of them all the endpoints", u.Host)
		}
		hosts[host] = true
		for _, rule := range u.FreshTags {
			if !mirror.ValidPattern(rule.Match) {
				return fmt.Errorf("upstream %s: freshTags: %q is not a pattern", u.Host, rule.Match)
			}
		}
	}
	return nil
}

func checkPatterns(patterns []string) error {
	for _, pattern := range patterns {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of repositories", pattern)
		}
	}
	return nil
}

// checkMode reports whether the mode that was asked for is none, or not to be had.
func (c config) checkMode() error {
	if c.Mode == "" {
		return nil
	}
	mode, err := mirror.ParseMode(c.Mode)
	if err != nil {
		return fmt.Errorf("%s: want online, offline or auto", c.Mode)
	}
	if c.Offline && mode != mirror.Offline {
		return fmt.Errorf("%s and --offline contradict each other: leave one out", c.Mode)
	}
	return nil
}

// withUpstreams returns c with all upstreams in Upstreams.
func (c config) withUpstreams() (config, error) {
	var all []upstreamConfig
	find := func(host string) int {
		return slices.IndexFunc(all, func(u upstreamConfig) bool { return u.Host == mirror.CanonicalHost(host) })
	}
	add := func(u upstreamConfig) {
		if find(u.Host) < 0 {
			u.Host = mirror.CanonicalHost(u.Host) // here, once, and not at each request
			all = append(all, u)
		}
	}
	for _, flag := range c.Upstream {
		e, err := upstream.ParseEndpoint(flag)
		if err != nil {
			return c, err
		}
		add(upstreamConfig{Config: upstream.Config{Host: e.Host}})
		u := &all[find(e.Host)]
		u.Endpoints = append(u.Endpoints, e.Config().Endpoints...)
	}
	for _, u := range c.Upstreams {
		add(u)
	}
	if c.KnownUpstreams {
		for _, u := range upstream.WellKnown() {
			add(upstreamConfig{Config: u})
		}
	}
	if len(all) == 0 && c.Offline { // bare names are still somebody's
		add(upstreamConfig{Config: upstream.WellKnown()[0]})
	}
	if len(all) == 0 {
		return c, errors.New("there is no upstream: name one with --upstream, or keep those that are known; to dial none, say --offline")
	}
	c.Upstreams = all
	return c, nil
}

func (c config) upstreams() []upstream.Config {
	configs := make([]upstream.Config, len(c.Upstreams))
	for i, u := range c.Upstreams {
		configs[i] = u.Config
	}
	return configs
}

func (c config) hosts() []string {
	hosts := make([]string, len(c.Upstreams))
	for i, u := range c.Upstreams {
		hosts[i] = u.Host
	}
	return hosts
}

// names returns how requests name repositories: bare names belong to the first upstream.
func (c config) names() mirror.Names {
	return mirror.Names{Default: c.Upstreams[0].Host, Aliases: upstream.Aliases(c.upstreams()), Own: c.own}
}

// upstreamOf returns the configuration of a repository's upstream, the zero one if there is none.
func (c config) upstreamOf(repo mirror.Repo) *upstreamConfig {
	for i := range c.Upstreams {
		if c.Upstreams[i].Host == repo.Host {
			return &c.Upstreams[i]
		}
	}
	return &upstreamConfig{}
}

// fresh returns how long a tag is served without asking again.
func (c config) fresh(ref mirror.Ref) time.Duration {
	u := c.upstreamOf(ref.Repo)
	for _, rule := range u.FreshTags {
		if mirror.Match(rule.Match, ref.Repo.Path) || mirror.Match(rule.Match, ref.Repo.Path+":"+ref.Tag) {
			return time.Duration(rule.Fresh)
		}
	}
	if u.Fresh != nil {
		return time.Duration(*u.Fresh)
	}
	return time.Duration(c.Fresh)
}

func (c config) complete(repo mirror.Repo) (images, referrers bool) {
	u := c.upstreamOf(repo)
	return u.Complete == nil || *u.Complete, u.Referrers
}

func (c config) local(repo mirror.Repo) (local, decided bool) {
	switch {
	case mirror.MatchAny(c.Local, repo.String()):
		return true, true
	case mirror.MatchAny(c.Mirrored, repo.String()):
		return false, true
	}
	return false, false
}
