package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// Upstream configures one upstream registry, and how its content is kept up to date.
type Upstream struct {
	upstream.Config `yaml:",inline"`
	// TagTTL overrides [Config.TagTTL]. It applies if it is not nil.
	TagTTL  *TTL     `yaml:"tagTTL,omitempty"`
	TagTTLs []TagTTL `yaml:"tagTTLs,omitempty"`
	// Backfill is on if it is nil.
	Backfill  *bool `yaml:"backfill,omitempty"`
	Referrers bool  `yaml:"referrers,omitempty"`
}

// TagTTL sets the TTL of the tags that match a pattern. A pattern with a colon is matched with repository:tag, a pattern
// without one with the repository.
type TagTTL struct {
	Match string `yaml:"match"`
	TTL   TTL    `yaml:"ttl,omitempty"`
}

func (c Config) checkUpstreams() error {
	hosts := map[string]bool{}
	var errs []error
	for _, u := range c.Upstreams {
		errs = append(errs, u.Validate())
		host := mirror.CanonicalHost(u.Host)
		if hosts[host] {
			errs = append(errs, fmt.Errorf("upstream %s is configured twice: list all endpoints in one of them", u.Host))
		}
		hosts[host] = true
		for _, rule := range u.TagTTLs {
			if err := u.CheckPattern(rule.Match); err != nil {
				errs = append(errs, fmt.Errorf("tagTTLs: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

func checkPatterns(patterns []string) error {
	for _, pattern := range patterns {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern of repositories", pattern)
		}
	}
	return nil
}

// withUpstreams returns c with all upstreams in Upstreams.
func (c Config) withUpstreams() (Config, error) {
	var all []Upstream
	find := func(host string) int {
		return slices.IndexFunc(all, func(u Upstream) bool { return u.Host == mirror.CanonicalHost(host) })
	}
	add := func(u Upstream) {
		if find(u.Host) < 0 {
			u.Host = mirror.CanonicalHost(u.Host) // once, instead of in each request
			all = append(all, u)
		}
	}
	for _, flag := range c.Upstream {
		e, err := upstream.ParseEndpoint(flag)
		if err != nil {
			return c, err
		}
		add(Upstream{Config: upstream.Config{Host: e.Host}})
		u := &all[find(e.Host)]
		u.Endpoints = append(u.Endpoints, e.Config().Endpoints...)
	}
	for _, u := range c.Upstreams {
		add(u)
	}
	if c.KnownUpstreams {
		for _, u := range upstream.WellKnown() {
			add(Upstream{Config: u})
		}
	}
	if len(all) == 0 && c.Offline { // names without a host still need one
		add(Upstream{Config: upstream.WellKnown()[0]})
	}
	if len(all) == 0 {
		return c, errors.New("there is no upstream: set one with --upstream, enable knownUpstreams, or run with --offline")
	}
	c.Upstreams = all
	return c, nil
}

// Registries returns the upstreams as package upstream takes them.
func (c Config) Registries() []upstream.Config {
	configs := make([]upstream.Config, len(c.Upstreams))
	for i, u := range c.Upstreams {
		configs[i] = u.Config
	}
	return configs
}

// Hosts returns the hosts of the upstreams, the default one first.
func (c Config) Hosts() []string {
	hosts := make([]string, len(c.Upstreams))
	for i, u := range c.Upstreams {
		hosts[i] = u.Host
	}
	return hosts
}

// Names returns how requests name repositories: a name without a host belongs to the first upstream.
func (c Config) Names() mirror.Names {
	return mirror.Names{Default: c.Upstreams[0].Host, Aliases: upstream.Aliases(c.Registries()), Own: c.own}
}

// upstreamOf returns the upstream of a repository, or the zero value.
func (c Config) upstreamOf(repo mirror.Repo) *Upstream {
	for i := range c.Upstreams {
		if c.Upstreams[i].Host == repo.Host {
			return &c.Upstreams[i]
		}
	}
	return &Upstream{}
}

// TTLOf returns how long a tag is served before it is revalidated.
func (c Config) TTLOf(ref mirror.Ref) time.Duration {
	u := c.upstreamOf(ref.Repo)
	for _, rule := range u.TagTTLs {
		pattern := u.PathPattern(rule.Match)
		if mirror.Match(pattern, ref.Repo.Path) || mirror.Match(pattern, ref.Repo.Path+":"+ref.Tag) {
			return time.Duration(rule.TTL)
		}
	}
	if u.TagTTL != nil {
		return time.Duration(*u.TagTTL)
	}
	return time.Duration(c.TagTTL)
}

// BackfillOf reports whether the images of a repository are completed in the background, and with their referrers.
func (c Config) BackfillOf(repo mirror.Repo) (images, referrers bool) {
	u := c.upstreamOf(repo)
	return u.Backfill == nil || *u.Backfill, u.Referrers
}

// IsLocal reports whether a repository is never fetched from an upstream. The configuration does not decide it unless
// decided is true.
func (c Config) IsLocal(repo mirror.Repo) (local, decided bool) {
	switch {
	case mirror.MatchAny(c.Local, repo.String()):
		return true, true
	case mirror.MatchAny(c.Mirrored, repo.String()):
		return false, true
	}
	return false, false
}

// loopbackPorts returns the ports of this machine that upstreams are configured at.
func (c Config) loopbackPorts() (ports []uint16) {
	for _, u := range c.Upstreams {
		for _, endpoint := range u.Endpoints {
			e, err := upstream.ParseEndpoint(endpoint.URL)
			if err != nil || !isLoopback(e.URL.Hostname()) {
				continue
			}
			if port, err := strconv.ParseUint(e.URL.Port(), 10, 16); err == nil {
				ports = append(ports, uint16(port))
			}
		}
	}
	return ports
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
