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

// Options configure a [Client]. The zero value works.
type Options struct {
	buffers *mirror.Shares[string] // bytes in memory, by host

	// Timeout is how long an upstream may take to begin a response, including connecting, signing in and redirects. It
	// may take four times as long, or BlobTimeout for a blob, if it answers /v2/ meanwhile: then it is alive but slow.
	// Reading the body of a manifest or list may take the same time again for each StallBytes bytes. Timeout does not
	// limit the bodies of blobs. 5s if zero.
	Timeout time.Duration
	// BlobTimeout is how long the first byte of a blob may take: an upstream that is a cache itself fetches the blob first.
	// 5m if zero.
	BlobTimeout time.Duration
	// DialTimeout is how long opening a connection may take. 3s if zero.
	DialTimeout time.Duration
	// Keychain finds credentials. If nil it is [authn.DefaultKeychain]: docker's config.json and its credential helpers,
	// or podman's auth.json.
	Keychain authn.Keychain
	// Observe is called after each request to an upstream, once its response has begun or it has failed. It is called
	// by any goroutine. It may be nil.
	Observe func(RequestInfo)
	// Logger gets a line for each request, at debug level. It may be nil.
	Logger *zap.Logger
	// Version is sent to upstreams in the User-Agent header.
	Version string
	// RetryFor is how long the client tries to resume an interrupted transfer of a blob without receiving anything
	// new. 5m if zero; a negative value disables resuming.
	RetryFor time.Duration
	// StallTimeout is how long the next StallBytes bytes of a blob may take, while a reader waits for them, before the
	// client replaces the connection. 30s if zero.
	StallTimeout time.Duration
	// StallBytes is the number of bytes that count as progress. 1024 if zero.
	StallBytes int
	// Transport is cloned for its dialling, proxy and TLS settings. If nil, proxies come from the environment and
	// certificates from the system.
	Transport *http.Transport
}

// Client is the [mirror.Upstream] of a set of configured registries. It is safe for concurrent use.
//
// It dials nothing before the first request. A slow upstream delays only the requests to it; requests that need the same
// sign-in share one.
type Client struct {
	opts       Options
	hosts      []string
	registries map[string]*registry // by host and alias
}

var _ mirror.Upstream = (*Client)(nil)

// New returns a client for the upstreams of configs. Where two configs have the same host, the later one wins. New reads
// certificates and dials nothing; its errors are those of a configuration.
func New(configs []Config, opts Options) (*Client, error) {
	opts = opts.withDefaults()
	c := &Client{opts: opts, registries: map[string]*registry{}}
	pool := newTransportPool(opts)
	for _, config := range configs {
		r, err := newRegistry(config, pool, opts)
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

// Hosts returns the hosts of the upstreams, without their aliases, in the order of the configuration.
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

// registry returns the upstream that repo belongs to. Its error has the code [mirror.CodeNameUnknown] if none is configured.
func (c *Client) registry(repo mirror.Repo) (*registry, error) {
	if r := c.registries[repo.Host]; r != nil {
		return r, nil
	}
	return nil, mirror.Errorf(mirror.CodeNameUnknown,
		"no upstream is configured for %s: add one with --upstream %s", repo.Host, repo.Host)
}

// do requests t from its upstream. A response that is not the content of t becomes an error.
func (c *Client) do(ctx context.Context, method string, t target) (*response, error) {
	r, err := c.registry(t.repo)
	if err != nil {
		return nil, err
	}
	return r.do(ctx, method, t)
}
