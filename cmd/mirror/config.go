package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"airmirror/mirror"
	"airmirror/upstream"
)

// config is what a configuration file says. Its zero value is what holds without one.
type config struct {
	// Upstreams beside those that need no configuration; the first is the default registry.
	Upstreams []upstreamConfig `yaml:"upstreams"`
	// Local are patterns of repositories, host included, that are never asked upstream for, whoever created them;
	// Mirrored of those that are, even if they were created by a push.
	Local    []string `yaml:"local"`
	Mirrored []string `yaml:"mirrored"`
	// KnownUpstreams says whether there are those that need no configuration; there are if this is not said.
	KnownUpstreams *bool `yaml:"knownUpstreams"`
}

// upstreamConfig is one upstream, with how its content is kept up to date.
type upstreamConfig struct {
	upstream.Config `yaml:",inline"`
	// Fresh is how long a tag is served without asking again; --fresh if it is not said.
	Fresh *freshness `yaml:"fresh"`
	// FreshTags say it for some tags; the first pattern that matches counts. It is matched with repository:tag, or
	// with the repository where it has no colon.
	FreshTags []freshTags `yaml:"freshTags"`
	// Complete says whether the rest of an image is fetched when it is pulled; it is if this is not said.
	Complete *bool `yaml:"complete"`
	// Referrers has signatures and everything else that refers to the image fetched with it.
	Referrers bool `yaml:"referrers"`
}

type freshTags struct {
	Match string    `yaml:"match"`
	Fresh freshness `yaml:"fresh"`
}

// freshness is a duration, or "forever".
type freshness time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *freshness) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*f = freshness(mirror.Forever)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is neither a duration like 5m nor forever", text)
	}
	*f = freshness(d)
	return nil
}

// loadConfig reads a configuration file. A key that is not known is an error.
func loadConfig(path string) (c config, err error) {
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, &exitError{exitUsage, fmt.Errorf("cannot read the configuration: %w", err)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && err != io.EOF {
		return c, &exitError{exitUsage, fmt.Errorf("%s: %w", path, err)}
	}
	if err := c.validate(); err != nil {
		return c, &exitError{exitUsage, fmt.Errorf("%s: %w", path, err)}
	}
	return c, nil
}

func (c config) validate() error {
	hosts := map[string]bool{}
	for _, u := range c.Upstreams {
		if err := u.Validate(); err != nil {
			return err
		}
		if host := mirror.CanonicalHost(u.Host); hosts[host] {
			return fmt.Errorf("upstream %s is there twice: give one of them all the endpoints", u.Host)
		} else {
			hosts[host] = true
		}
		for _, rule := range u.FreshTags {
			if !mirror.ValidPattern(rule.Match) {
				return fmt.Errorf("upstream %s: freshTags: %q is not a pattern", u.Host, rule.Match)
			}
		}
	}
	for _, pattern := range slices.Concat(c.Local, c.Mirrored) {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of repositories", pattern)
		}
	}
	return nil
}

// withFlags puts what --upstream said in front of the file's upstreams, and those that need no configuration behind, unless
// the file or known says that there are none.
func (c config) withFlags(flags []string, known bool) (config, error) {
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
	for _, flag := range flags {
		e, err := upstream.ParseEndpoint(flag)
		if err != nil {
			return c, &exitError{exitUsage, err}
		}
		add(upstreamConfig{Config: upstream.Config{Host: e.Host}})
		u := &all[find(e.Host)]
		u.Endpoints = append(u.Endpoints, e.Config().Endpoints...)
	}
	for _, u := range c.Upstreams {
		add(u)
	}
	if known && (c.KnownUpstreams == nil || *c.KnownUpstreams) {
		for _, u := range upstream.WellKnown() {
			add(upstreamConfig{Config: u})
		}
	}
	if len(all) == 0 {
		return c, &exitError{exitUsage, errors.New("there is no upstream: name one with --upstream, or keep those that are known; to dial none, say --offline")}
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
	return mirror.Names{Default: c.Upstreams[0].Host, Aliases: upstream.Aliases(c.upstreams())}
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

// fresh returns how long a tag is served without asking again; fallback where nothing is said about it.
func (c config) fresh(ref mirror.Ref, fallback time.Duration) time.Duration {
	u := c.upstreamOf(ref.Repo)
	for _, rule := range u.FreshTags {
		if mirror.Match(rule.Match, ref.Repo.Path) || mirror.Match(rule.Match, ref.Repo.Path+":"+ref.Tag) {
			return time.Duration(rule.Fresh)
		}
	}
	if u.Fresh != nil {
		return time.Duration(*u.Fresh)
	}
	return fallback
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
