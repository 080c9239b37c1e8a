package upstream

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Options are what a [Client] does differently. The zero value works.
type Options struct {
	buffers *mirror.Shares[string] // bytes in memory, by host

	// Timeout is how long an upstream may take to begin an answer, with everything that comes before it: connecting,
	// signing in, redirects. It may take four times as long, and a blob BlobTimeout, if the upstream answers /v2/
	// meanwhile: then it is only slow. Manifests and lists may take as long for each StallBytes in them; it is no limit
	// for what comes within blobs. 5s if zero.
	Timeout time.Duration
	// BlobTimeout is how long the first byte of a blob may take: an upstream that is a cache itself fetches it first. 5m
	// if zero.
	BlobTimeout time.Duration
	// DialTimeout is how long a connection may take to come up. 3s if zero.
	DialTimeout time.Duration
	// Keychain finds credentials; [authn.DefaultKeychain] if nil: docker's config.json and its credential helpers, or
	// podman's auth.json.
	Keychain authn.Keychain
	// Observe is called with each request to an upstream once its answer began or failed, by any goroutine; nil is not.
	Observe func(RequestInfo)
	// Logger gets a line for each request, at debug level. Nothing is logged if nil.
	Logger *zap.Logger
	// Version is told to upstreams in the User-Agent header.
	Version string
	// RetryFor is how long the transfer of a blob that broke off is taken up again while nothing new arrives. 5m if
	// zero; never if negative.
	RetryFor time.Duration
	// StallTimeout is how long a blob may take for its next StallBytes bytes, while somebody wants to read them, before
	// its connection is given up for another. 30s if zero.
	StallTimeout time.Duration
	// StallBytes are how many bytes count as progress. 1024 if zero.
	StallBytes int
	// Transport is cloned for what it says about dialling, proxies and TLS. If nil, proxies come from the environment
	// and certificates from the system.
	Transport *http.Transport
}

// Client is the [mirror.Upstream] of the registries that it was made with. It may be used concurrently.
//
// Nothing is dialled before the first request. An upstream that hangs is waited for by those who ask it and by nobody
// else; requests that need the same sign-in wait for it together.
type Client struct {
	opts       Options
	hosts      []string
	registries map[string]*registry // by host and alias
}

var _ mirror.Upstream = (*Client)(nil)

// New returns a client for the upstreams of configs. Where two have the same host, the later one counts. An error is
// about a configuration: nothing is dialled, but certificates are read.
func New(configs []Config, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	c := &Client{opts: opts, registries: map[string]*registry{}}
	dial := newTransportPool(opts)
	for _, config := range configs {
		r, err := newRegistry(config, dial, opts)
		if err != nil {
			return nil, err
		}
		host := mirror.CanonicalHost(config.Host)
		if !slices.Contains(c.hosts, host) {
			c.hosts = append(c.hosts, host)
		}
		c.registries[host] = r
	}
	for alias, host := range Aliases(configs) {
		if c.registries[alias] == nil {
			c.registries[alias] = c.registries[host]
		}
	}
	return c, nil
}

// Hosts are the hosts of the upstreams, without their aliases, in the order in which they were given.
func (c *Client) Hosts() []string { return slices.Clone(c.hosts) }

// Status implements [mirror.Upstream].
func (c *Client) Status() []mirror.UpstreamStatus {
	list := make([]mirror.UpstreamStatus, 0, len(c.hosts))
	for _, host := range c.hosts {
		list = append(list, c.registries[host].status())
	}
	return list
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.BlobTimeout == 0 {
		o.BlobTimeout = 5 * time.Minute
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 3 * time.Second
	}
	if o.buffers == nil {
		o.buffers = mirror.NewShares[string](maxBuffered)
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.RetryFor == 0 {
		o.RetryFor = 5 * time.Minute
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = 30 * time.Second
	}
	if o.StallBytes == 0 {
		o.StallBytes = 1 << 10
	}
	return o
}

// registry finds who to ask for repo.
func (c *Client) registry(repo mirror.Repo) (*registry, error) {
	if r := c.registries[repo.Host]; r != nil {
		return r, nil
	}
	return nil, mirror.Errorf(mirror.CodeNameUnknown,
		"no upstream is configured for %s: add one with --upstream %s", repo.Host, repo.Host)
}

// do asks the upstream of t for it. An answer that is not what was asked for becomes an error.
func (c *Client) do(ctx context.Context, method string, t target) (*response, error) {
	r, err := c.registry(t.repo)
	if err != nil {
		return nil, err
	}
	return r.do(ctx, method, t)
}
