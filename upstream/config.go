package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"airmirror/mirror"
)

// Config is the configuration of one upstream. Only Host is required.
type Config struct {
	// Host is the host in the names of repositories: docker.io, ghcr.io, registry.example:5000.
	Host string `yaml:"host"`
	// Aliases are other hosts with the same content: requests for names with these hosts are sent to this upstream as
	// well.
	Aliases []string `yaml:"aliases,omitempty"`
	// Endpoints are tried in order. The next one is tried if an endpoint is down, does not answer, fails, or does not have
	// the content, as another mirror may not. The error is that of the last one. The default is the host itself.
	Endpoints []EndpointConfig `yaml:"endpoints,omitempty"`
	// Allow are patterns, see [mirror.Match], of the repositories that may be fetched, with or without the host. All may be
	// fetched if it is empty.
	Allow []string `yaml:"allow,omitempty"`
	// Deny are patterns of repositories that are never fetched, even if they match Allow.
	Deny []string `yaml:"deny,omitempty"`
	// RequestsPerSecond limits the rate of requests, beginnings of transfers included. No limit if zero.
	RequestsPerSecond float64 `yaml:"requestsPerSecond,omitempty"`
	// Burst is how many requests may be sent at once; at least 1.
	Burst int `yaml:"burst,omitempty"`
	// Parallel limits the number of concurrent transfers of blobs; further ones wait. No limit if zero.
	Parallel int `yaml:"parallel,omitempty"`
}

// EndpointConfig is the configuration of one endpoint of an upstream. Credentials and certificates belong to the endpoint: a
// mirror in place of a registry does not get those of the registry. Only URL is required.
type EndpointConfig struct {
	// URL is [http(s)://]host[:port][/prefix]; see [ParseEndpoint].
	URL         string      `yaml:"url"`
	Credentials Credentials `yaml:"credentials,omitempty"`
	TLS         TLS         `yaml:"tls,omitempty"`
	// Proxy is the http, https or socks5 URL of a proxy, or "none". If it is empty, the environment decides: HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY.
	Proxy string `yaml:"proxy,omitempty" secret:"url"`
}

// Credentials are the credentials for one endpoint. If they are empty, [Options.Keychain] is used.
type Credentials struct {
	Username string `yaml:"username,omitempty"`
	Password string `yaml:"password,omitempty" secret:"true"`
	// PasswordFile contains the password, with or without an end of line. It is read at each sign-in.
	PasswordFile string `yaml:"passwordFile,omitempty"`
	// IdentityToken is exchanged for tokens in place of a password.
	IdentityToken string `yaml:"identityToken,omitempty" secret:"true"`
}

// TLS configures the certificates of an endpoint and of its clients. It also applies to the other hosts that the endpoint
// refers to; the client certificate is only sent to a host that asks for one.
type TLS struct {
	// CAFile contains certificates, in PEM, that are trusted in addition to the system's.
	CAFile string `yaml:"caFile,omitempty"`
	// CertFile and KeyFile are the client certificate and its key, in PEM.
	CertFile string `yaml:"certFile,omitempty"`
	KeyFile  string `yaml:"keyFile,omitempty"`
	// SkipVerify accepts any certificate: an attacker in the network can read passwords and answer in place of the
	// endpoint.
	SkipVerify bool `yaml:"skipVerify,omitempty"`
}

// WellKnown returns the configurations of public registries that need no settings.
func WellKnown() []Config {
	hosts := []string{mirror.DockerHub, "ghcr.io", "quay.io", "registry.k8s.io", "gcr.io", "mcr.microsoft.com", "public.ecr.aws"}
	configs := make([]Config, 0, len(hosts))
	for _, host := range hosts {
		configs = append(configs, Config{Host: host})
	}
	return configs
}

// Aliases maps the aliases of configs to the hosts in the names of repositories.
func Aliases(configs []Config) map[string]string {
	aliases := map[string]string{}
	for _, c := range configs {
		for _, alias := range c.Aliases {
			aliases[mirror.CanonicalHost(alias)] = mirror.CanonicalHost(c.Host)
		}
	}
	return aliases
}

// Validate returns the first error in c. It does not read files.
func (c Config) Validate() error {
	for _, host := range append([]string{c.Host}, c.Aliases...) {
		if !mirror.ValidHost(host) {
			return fmt.Errorf("%q is not the name of a registry host", host)
		}
	}
	if c.RequestsPerSecond < 0 || c.Burst < 0 || c.Parallel < 0 {
		return fmt.Errorf("upstream %s: requestsPerSecond, burst and parallel cannot be negative; 0 means no limit", c.Host)
	}
	for _, pattern := range append(append([]string{}, c.Allow...), c.Deny...) {
		if err := c.CheckPattern(pattern); err != nil {
			return err
		}
	}
	for _, e := range c.endpoints() {
		if err := e.validate(); err != nil {
			return fmt.Errorf("upstream %s: endpoint %q: %w", c.Host, withoutPassword(e.URL), err)
		}
	}
	return nil
}

func (e EndpointConfig) validate() error {
	if _, err := parseURL(e.URL); err != nil {
		return err
	}
	if (e.TLS.CertFile == "") != (e.TLS.KeyFile == "") {
		return errors.New("a client certificate needs both a certFile and a keyFile")
	}
	c := e.Credentials
	switch {
	case c.Password != "" && c.PasswordFile != "":
		return errors.New("both a password and a passwordFile are set")
	case c.Username == "" && (c.Password != "" || c.PasswordFile != ""):
		return errors.New("a password is set without a username")
	}
	_, err := e.proxy()
	return err
}

// proxy returns the configured proxy, or nil.
func (e EndpointConfig) proxy() (*url.URL, error) {
	if e.Proxy == "" || e.Proxy == noProxy {
		return nil, nil
	}
	u, err := url.Parse(e.Proxy)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case "http", "https", "socks5", "socks5h":
			return u, nil
		}
	}
	return nil, errors.New("the proxy is neither an http, https or socks5 URL nor none")
}

const noProxy = "none"

// endpoints returns the endpoints of c; the default is the host itself.
func (c Config) endpoints() []EndpointConfig {
	if len(c.Endpoints) == 0 {
		return []EndpointConfig{{URL: c.Host}}
	}
	return c.Endpoints
}

// allows reports whether the repository at path may be fetched.
func (c Config) allows(path string) bool {
	matches := func(pattern string) bool { return mirror.Match(c.PathPattern(pattern), path) }
	return !slices.ContainsFunc(c.Deny, matches) && (len(c.Allow) == 0 || slices.ContainsFunc(c.Allow, matches))
}

// CheckPattern returns an error if pattern is not one of repositories of this upstream.
func (c Config) CheckPattern(pattern string) error {
	if !mirror.ValidPattern(pattern) {
		return fmt.Errorf("upstream %s: %q is not a pattern of repositories", c.Host, pattern)
	}
	if path := c.PathPattern(pattern); path == pattern && patternHost(path) != "" {
		return fmt.Errorf("upstream %s: %q begins with the name of another host: write %[1]s/%[2]s if the repositories of %[1]s have such a path", c.Host, pattern)
	}
	return nil
}

// PathPattern returns a pattern of repositories of this upstream without the host, with which it may begin.
func (c Config) PathPattern(pattern string) string {
	host := patternHost(pattern)
	if host == "" {
		return pattern
	}
	isHost := func(name string) bool { return mirror.CanonicalHost(name) == mirror.CanonicalHost(host) }
	if isHost(c.Host) || slices.ContainsFunc(c.Aliases, isHost) {
		return pattern[len(host)+1:]
	}
	return pattern
}

// patternHost returns the first part of a pattern if it is the name of a host.
func patternHost(pattern string) string {
	first, _, found := strings.Cut(pattern, "/")
	if found && (first == "localhost" || strings.ContainsAny(first, ".:")) && mirror.ValidHost(first) {
		return first
	}
	return ""
}
