package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// endpointClient sends requests to one endpoint of an upstream. It is safe for concurrent use.
type endpointClient struct {
	endpoint Endpoint
	client   *http.Client      // signs in
	base     http.RoundTripper // does not sign in
	opts     Options
	breaker  breaker
	limits   *limits
	pinger   pinger
	answered atomic.Bool // at least one request got a response

	mu           sync.Mutex
	serverErrors failureStreak
}

func newEndpointClient(host string, c EndpointConfig, pool transportPool, opts Options) (*endpointClient, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	e := &endpointClient{endpoint: Endpoint{Host: host, URL: u}, opts: opts, limits: newLimits()}
	guard, err := pool.forEndpoint(c, e.endpoint)
	if err != nil {
		return nil, err
	}
	e.base = decorate(guard, e.endpoint, e.limits, opts)
	signed, err := newAuthorizer(e.endpoint, c.Credentials.keychain(opts.Keychain), e.base, e.limits, opts)
	if err != nil {
		return nil, err
	}
	e.client = &http.Client{Transport: signed, CheckRedirect: checkRedirect}
	return e, nil
}

// do requests t, unless a circuit breaker is open: that of the endpoint, or that of the content. It closes w, or leaves that
// to the response.
func (e *endpointClient) do(w *watchdog, method string, t target) (*response, error) {
	ofEndpoint, ofContent := &e.breaker, e.limits.breaker(w.ctx, e, t)
	endpointPermit, err := ofEndpoint.allow(w.ctx, "it is down")
	if err != nil {
		w.close()
		return nil, t.failed(err)
	}
	contentPermit, err := ofContent.allow(w.ctx, "requests for the same content failed repeatedly")
	if err != nil {
		ofEndpoint.report(endpointPermit, outcomeCanceled, nil)
		w.close()
		return nil, t.failed(err)
	}
	httpResp, err := e.sendWithRetry(w, method, t)
	w.headersReceived()
	found := e.classify(w, endpointPermit.begun, httpResp, err)
	resp, err := e.finish(w, t, httpResp, err)
	ofEndpoint.report(endpointPermit, found.endpoint, err)
	ofContent.report(contentPermit, found.content, err)
	return resp, err
}

// finish returns the response to a request for t, or the error that describes why there is none.
func (e *endpointClient) finish(w *watchdog, t target, httpResp *http.Response, err error) (*response, error) {
	if err != nil {
		err = e.networkFailed(t, err, w.cause(err))
		w.close()
		return nil, err
	}
	e.answered.Store(true)
	resp := &response{Response: httpResp, target: t, endpoint: e, watchdog: w}
	if err := resp.check(); err != nil {
		resp.close()
		return nil, err
	}
	return resp, nil
}

// send sends one request for t.
func (e *endpointClient) send(w *watchdog, method string, t target) (*http.Response, error) {
	r, err := t.request(w.ctx, method, e)
	if err != nil {
		return nil, fmt.Errorf("creating the request: %w", err)
	}
	return sendWithoutURL(e.client, r)
}

// addServerError records a server error. It reports whether that completes a streak that casts doubt on the endpoint;
// the next error then begins a new streak.
func (e *endpointClient) addServerError(begun time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serverErrors.add(begun, nil)
	if e.serverErrors.count < maxFailures {
		return false
	}
	e.serverErrors.count = 0
	return true
}

func (e *endpointClient) resetServerErrors() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serverErrors = failureStreak{}
}
