package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// origin is one endpoint of an upstream. It may be used concurrently.
type origin struct {
	endpoint Endpoint
	client   *http.Client      // signs in
	base     http.RoundTripper // does not
	opts     Options
	breaker  breaker
	parts    *parts
	pinger   pinger
	answered atomic.Bool // something, once

	mu       sync.Mutex
	failures row // errors of the server's own
}

func newOrigin(host string, c EndpointConfig, dial transports, opts Options) (*origin, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	o := &origin{endpoint: Endpoint{Host: host, URL: u}, opts: opts, parts: newParts()}
	way, err := dial.to(c, o.endpoint)
	if err != nil {
		return nil, err
	}
	o.base = decorate(way, o.endpoint, o.parts, opts)
	signed, err := newAuthorizer(o.endpoint, c.Credentials.keychain(opts.Keychain), o.base, o.parts, opts)
	if err != nil {
		return nil, err
	}
	o.client = &http.Client{Transport: signed, CheckRedirect: checkRedirect}
	return o, nil
}

// send sends the request for t.
func (o *origin) send(w *watchdog, method string, t target) (*http.Response, error) {
	r, err := t.request(w.ctx, method, o)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	return o.client.Do(r)
}
