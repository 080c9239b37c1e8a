package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// origin is one endpoint of an upstream. It may be used concurrently.
type endpointClient struct {
	endpoint Endpoint
	client   *http.Client      // signs in
	base     http.RoundTripper // does not
	opts     Options
	breaker  breaker
	limits   *limits
	pinger   pinger
	answered atomic.Bool // something, once

	mu           sync.Mutex
	serverErrors failureStreak // errors of the server's own
}

func newEndpointClient(host string, c EndpointConfig, dial transportPool, opts Options) (*endpointClient, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	e := &endpointClient{endpoint: Endpoint{Host: host, URL: u}, opts: opts, limits: newLimits()}
	way, err := dial.forEndpoint(c, e.endpoint)
	if err != nil {
		return nil, err
	}
	e.base = decorate(way, e.endpoint, e.limits, opts)
	signed, err := newAuthorizer(e.endpoint, c.Credentials.keychain(opts.Keychain), e.base, e.limits, opts)
	if err != nil {
		return nil, err
	}
	e.client = &http.Client{Transport: signed, CheckRedirect: checkRedirect}
	return e, nil
}

// send sends the request for t.
func (e *endpointClient) send(w *watchdog, method string, t target) (*http.Response, error) {
	r, err := t.request(w.ctx, method, e)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	return e.client.Do(r)
}
