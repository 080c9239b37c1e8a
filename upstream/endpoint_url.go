package upstream

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"airmirror/mirror"
)

// dockerHubAPI is the host of Docker Hub's registry; docker.io itself is a web site.
const dockerHubAPI = "registry-1.docker.io"

// Endpoint is a URL that the content of a registry host is fetched from.
type Endpoint struct {
	// Host is the host in the names of repositories: docker.io, ghcr.io, registry.example:5000.
	Host string
	// URL is http(s)://host[:port][/prefix] or http(s)://host[:port]/base/v2[/prefix]. The prefix is prepended to the path
	// of each repository: registries that mirror several others distinguish them that way. The base is the path above
	// the API, as in Artifactory.
	URL *url.URL
}

// Config returns the configuration of an upstream with this endpoint only.
func (e Endpoint) Config() Config {
	return Config{Host: e.Host, Endpoints: []EndpointConfig{{URL: e.URL.String()}}}
}

// ParseEndpoint parses [HOST=]URL. The default of HOST is the host of the URL. The default scheme is https, or http if the
// host is this machine.
//
//	quay.io                                   quay.io, over https
//	http://registry.example:5000              registry.example:5000, over http
//	docker.io=https://registry.example        docker.io, fetched from registry.example
//	ghcr.io=https://registry.example/proxies  ghcr.io, where org/app is registry.example's proxies/org/app
//	docker.io=https://art.corp/api/docker/hub  docker.io, whose API is below https://art.corp/api/docker/hub/v2/
//	quay.io=https://registry.example/quay/v2  quay.io, whose API is below https://registry.example/quay/v2/
func ParseEndpoint(s string) (Endpoint, error) {
	e, err := parseEndpoint(s)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q: %w", withoutPassword(s), err)
	}
	return e, nil
}

func parseEndpoint(s string) (Endpoint, error) {
	host, rawURL, named := strings.Cut(s, "=")
	if !named || strings.Contains(host, "/") {
		host, rawURL, named = "", s, false
	}
	u, err := parseURL(rawURL)
	if err != nil {
		return Endpoint{}, err
	}
	if !named {
		host = u.Host
	}
	if !mirror.ValidHost(host) {
		return Endpoint{}, fmt.Errorf("%q is not the name of a registry host", host)
	}
	return Endpoint{Host: mirror.CanonicalHost(host), URL: u}, nil
}

func parseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, fmt.Errorf("want [HOST=]URL, for example quay.io or docker.io=https://registry.example.com")
	}
	if !strings.Contains(s, "://") {
		s = defaultScheme(s) + "://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("this is not a URL such as https://registry.example:5000")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme %s:// is not that of a registry: write https:// or http://", u.Scheme)
	case u.User != nil:
		return nil, fmt.Errorf("credentials are not allowed in the URL: use docker login %s", u.Host)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the URL contains more than a host and a path")
	}
	u.Host = canonicalAuthority(u)
	if !mirror.ValidHost(u.Host) || !validPort(u.Port()) {
		return nil, fmt.Errorf("%q is not a host with or without a port", u.Host)
	}
	base, prefix := splitPath(u.Path)
	if prefix != "" {
		if err := (mirror.Repo{Host: u.Host, Path: prefix[1:]}).Validate(); err != nil {
			return nil, fmt.Errorf("the path %q of the URL cannot begin the name of a repository; if the API is below it, add /v2", prefix[1:])
		}
	}
	if path.Clean("/"+base) != "/"+strings.TrimPrefix(base, "/") {
		return nil, fmt.Errorf("the API cannot be below the path %q", base)
	}
	u.Path, u.RawPath = joinPath(base, prefix), ""
	if mirror.CanonicalHost(u.Host) == mirror.DockerHub {
		u.Host = dockerHubAPI
	}
	return u, nil
}

// withoutPassword masks the text before the last @ of a URL, which may be invalid: the URL appears in error messages.
func withoutPassword(s string) string {
	at := strings.LastIndex(s, "@")
	if at < 0 {
		return s
	}
	begin := 0
	if scheme := strings.Index(s, "://"); scheme >= 0 && scheme < at {
		begin = scheme + len("://")
	} else if host, _, named := strings.Cut(s, "="); named && !strings.ContainsAny(host, "/:@") {
		begin = len(host) + 1
	}
	return s[:begin] + "********" + s[at:]
}

// splitPath splits the path of an endpoint's URL at its segment v2: base is the path above the API, and prefix is prepended
// to the path of each repository. Without that segment the path is a prefix, except for that of Artifactory, which ends in
// api/docker/ and the key of a repository.
func splitPath(p string) (base, prefix string) {
	p = strings.TrimRight(p, "/")
	if base, prefix, ok := strings.Cut(p+"/", "/v2/"); ok {
		return base, strings.TrimRight("/"+prefix, "/")
	}
	if parent, _ := path.Split(p); strings.HasSuffix(parent, "/api/docker/") {
		return p, ""
	}
	return "", p
}

// joinPath returns the shortest path that [splitPath] splits into base and prefix.
func joinPath(base, prefix string) string {
	if base == "" && !strings.Contains(prefix+"/", "/v2/") {
		return prefix
	}
	return base + "/v2" + prefix
}

// canonicalAuthority returns u's host in lower case, without the default port of its scheme.
func canonicalAuthority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0
}

// defaultScheme is http for this machine, where certificates are rare and there is no network in between.
func defaultScheme(s string) string {
	host, _, _ := strings.Cut(s, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return "http"
	}
	return "https"
}

// api returns the path of the API, which ends in /v2/.
func (e Endpoint) api() string {
	base, _ := splitPath(e.URL.Path)
	return base + "/v2/"
}

// prefix returns the prefix of the path of each repository: empty, or with a slash at its end.
func (e Endpoint) prefix() string {
	_, prefix := splitPath(e.URL.Path)
	return strings.TrimPrefix(prefix+"/", "/")
}

// path returns repo's path at the endpoint; "" for the whole registry.
func (e Endpoint) path(repo mirror.Repo) string {
	if repo.Path == "" {
		return ""
	}
	return e.prefix() + repo.Path
}

// owns reports whether u is at the endpoint itself. An endpoint at the default port of http also owns https of the same
// name.
func (e Endpoint) owns(u *url.URL) bool { return sameOrSafer(e.URL, u) }

// sameOrSafer reports whether credentials for a may be sent to b: both have the same scheme, host and port, or a is http and
// b is https of the same host, each at its default port.
func sameOrSafer(a, b *url.URL) bool {
	if a.Scheme == b.Scheme {
		return canonicalAuthority(a) == canonicalAuthority(b)
	}
	upgrade := a.Scheme == "http" && b.Scheme == "https"
	return upgrade && canonicalAuthority(a) == canonicalAuthority(b) && portOf(a) == "80" && portOf(b) == "443"
}

// portOf returns the port of u, the default one of its scheme if u has none.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// credentialKey returns the key of the endpoint in a keychain: the host of its URL and not that of the upstream, so that a
// mirror of Docker Hub does not get the credentials of Docker Hub. Docker stores those under index.docker.io.
func (e Endpoint) credentialKey() (name.Registry, error) {
	if e.URL.Host == dockerHubAPI {
		return name.NewRegistry(name.DefaultRegistry)
	}
	return name.NewRegistry(e.URL.Host)
}
