package upstream

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options are what a [Client] does differently. The zero value works.
type Options struct {
	// Timeout is how long an upstream may take to begin an answer, with everything that comes before it: connecting,
	// signing in, redirects. It also bounds each silence within a manifest, and is no limit for blobs. 5s if zero.
	Timeout time.Duration
	// DialTimeout is how long a connection may take to come up. 3s if zero.
	DialTimeout time.Duration
	// Keychain finds credentials; [authn.DefaultKeychain] if nil: docker's config.json and its credential helpers, or
	// podman's auth.json.
	Keychain authn.Keychain
	// Logger gets a line for each request, at debug level. Nothing is logged if nil.
	Logger *zap.Logger
	// Version is told to upstreams in the User-Agent header.
	Version string
	// Transport is cloned for what it says about dialling, proxies and TLS. If nil, proxies come from the environment
	// and certificates from the system.
	Transport *http.Transport
}

// Client is the [mirror.Upstream] of the registries that it was made with. It may be used concurrently.
//
// Nothing is dialled before the first request. An upstream that hangs is waited for by those who ask it and by nobody
// else; requests that need the same sign-in wait for it together.
type Client struct {
	timeout time.Duration
	hosts   []string
	origins map[string]*origin
}

var _ mirror.Upstream = (*Client)(nil)

// New returns a client for endpoints. Where two have the same host, the later one counts.
func New(endpoints []Endpoint, opts Options) *Client {
	opts = opts.withDefaults()
	c := &Client{timeout: opts.Timeout, origins: map[string]*origin{}}
	base := newTransport(opts)
	for _, e := range endpoints {
		if c.origins[e.Host] == nil {
			c.hosts = append(c.hosts, e.Host)
		}
		c.origins[e.Host] = newOrigin(e, base, opts)
	}
	return c
}

// Hosts are the hosts of the endpoints, in the order in which they were given.
func (c *Client) Hosts() []string { return slices.Clone(c.hosts) }

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 3 * time.Second
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o
}

// origin finds who to ask for repo.
func (c *Client) origin(repo mirror.Repo) (*origin, error) {
	if o := c.origins[repo.Host]; o != nil {
		return o, nil
	}
	return nil, mirror.Errorf(mirror.CodeNameUnknown,
		"no upstream is configured for %s: add one with --upstream %s", repo.Host, repo.Host)
}
