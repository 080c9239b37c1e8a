package upstream

import (
	"errors"
	"fmt"
	"net/url"

	"airmirror/mirror"
)

// Config is one upstream: where the content of one registry host is fetched from, and how much of it. Only Host is
// needed.
type Config struct {
	// Host is the host that content is named by: docker.io, ghcr.io, registry.example:5000.
	Host string `yaml:"host"`
	// Aliases are other hosts whose content is the same: names under them are asked for here as well.
	Aliases []string `yaml:"aliases,omitempty"`
	// Endpoints are tried in order: the next one where one is gone, does not answer, fails, or does not have what is
	// asked for, as another mirror may not have it. What the last one says counts. If there are none it is the host
	// itself.
	Endpoints []EndpointConfig `yaml:"endpoints,omitempty"`
	// Allow are patterns, see [mirror.Match], of the repositories that are fetched, without the host; all if there are
	// none.
	Allow []string `yaml:"allow,omitempty"`
	// Deny are patterns of repositories that are never fetched, even if they are allowed.
	Deny []string `yaml:"deny,omitempty"`
	// RequestsPerSecond limits how many questions are asked and transfers begun. No limit if zero.
	RequestsPerSecond float64 `yaml:"requestsPerSecond,omitempty"`
	// Burst is how many of them may come at once; at least 1.
	Burst int `yaml:"burst,omitempty"`
	// Parallel limits how many blobs are transferred at a time; further ones wait in line. No limit if zero.
	Parallel int `yaml:"parallel,omitempty"`
}

// EndpointConfig is one way to an upstream. Credentials and certificates belong to it and not to the upstream: a mirror
// that stands in for a registry is not handed the registry's. Only URL is needed.
type EndpointConfig struct {
	// URL is [http(s)://]host[:port][/prefix], as [ParseEndpoint] reads it.
	URL         string      `yaml:"url"`
	Credentials Credentials `yaml:"credentials,omitempty"`
	TLS         TLS         `yaml:"tls,omitempty"`
	// Proxy is the http, https or socks5 URL of a proxy, or "none". What the environment says counts if it is empty:
	// HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy string `yaml:"proxy,omitempty" secret:"url"`
}

// Credentials are what to sign in with. If they are empty, [Options.Keychain] has them.
type Credentials struct {
	Username string `yaml:"username,omitempty"`
	Password string `yaml:"password,omitempty" secret:"true"`
	// PasswordFile holds the password, with or without an end of line. It is read at each sign-in.
	PasswordFile string `yaml:"passwordFile,omitempty"`
	// IdentityToken is exchanged for tokens in place of a password.
	IdentityToken string `yaml:"identityToken,omitempty" secret:"true"`
}

// TLS is how an endpoint proves who it is, and this mirror who it is. It goes for the hosts that the endpoint sends
// its clients to as well, except that the client certificate is only shown to who asks for one.
type TLS struct {
	// CAFile has certificates, in PEM, to trust beside the system's.
	CAFile string `yaml:"caFile,omitempty"`
	// CertFile and KeyFile are the client certificate and its key, in PEM.
	CertFile string `yaml:"certFile,omitempty"`
	KeyFile  string `yaml:"keyFile,omitempty"`
	// SkipVerify takes any certificate, so that anybody in between may read passwords and answer in the endpoint's place.
	SkipVerify bool `yaml:"skipVerify,omitempty"`
}

// WellKnown are the registries that need no configuration.
func WellKnown() []Config {
	hosts := []string{mirror.DockerHub, "ghcr.io", "quay.io", "registry.k8s.io", "gcr.io", "mcr.microsoft.com", "public.ecr.aws"}
	configs := make([]Config, 0, len(hosts))
	for _, host := range hosts {
		configs = append(configs, Config{Host: host})
	}
	return configs
}

// Aliases maps the aliases of configs to the hosts that their content is named by.
func Aliases(configs []Config) map[string]string {
	aliases := map[string]string{}
	for _, c := range configs {
		for _, alias := range c.Aliases {
			aliases[mirror.CanonicalHost(alias)] = mirror.CanonicalHost(c.Host)
		}
	}
	return aliases
}

// Validate reports what is wrong with c, as far as that can be told without reading files.
func (c Config) Validate() error {
	for _, host := range append([]string{c.Host}, c.Aliases...) {
		if !mirror.ValidHost(host) {
			return fmt.Errorf("%q is not the name of a registry host", host)
		}
	}
	if c.RequestsPerSecond < 0 || c.Burst < 0 || c.Parallel < 0 {
		return fmt.Errorf("upstream %s: a limit is negative; 0 is no limit", c.Host)
	}
	for _, pattern := range append(append([]string{}, c.Allow...), c.Deny...) {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("upstream %s: %q is not a pattern", c.Host, pattern)
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
		return errors.New("there is both a password and a passwordFile")
	case c.Username == "" && (c.Password != "" || c.PasswordFile != ""):
		return errors.New("there is a password and no username")
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
	return nil, errors.New("its proxy is not an http, https or socks5 URL, nor none")
}

const noProxy = "none"

// endpoints are those of c, or the host itself.
func (c Config) endpoints() []EndpointConfig {
	if len(c.Endpoints) == 0 {
		return []EndpointConfig{{URL: c.Host}}
	}
	return c.Endpoints
}

// permits reports whether c lets the repository at path be fetched.
func (c Config) allows(path string) bool {
	return !mirror.MatchAny(c.Deny, path) && (len(c.Allow) == 0 || mirror.MatchAny(c.Allow, path))
}
