package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
)

// maxRedirects is how often an upstream may send a request elsewhere.
const maxRedirects = 10

// decorate returns what every request to e goes through: doc.go draws it.
func decorate(base http.RoundTripper, e Endpoint, p *limits, opts Options) http.RoundTripper {
	agent := "airmirror"
	if opts.Version != "" {
		agent += "/" + opts.Version
	}
	rt := logRequests(base, opts.Logger)
	if opts.Observe != nil {
		rt = observeRequests(rt, e.Host, opts.Observe)
	}
	rt = setHeaders(rt, agent)
	rt = schemeGuard(rt, e)
	rt = markNetworkErrors(rt)
	return guardOtherHosts(rt, e, p, opts.StallTimeout)
}

// roundTripper is a function that is an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// logRequests logs requests without their queries, which may hold signatures.
func logRequests(next http.RoundTripper, log *zap.Logger) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := next.RoundTrip(r)
		if entry := log.Check(zap.DebugLevel, "upstream request"); entry != nil {
			status := 0
			if resp != nil {
				status = resp.StatusCode
			}
			entry.Write(zap.String("method", r.Method), zap.String("host", r.URL.Host), zap.String("path", r.URL.Path),
				zap.Int("status", status), zap.Duration("took", time.Since(start)), zap.Error(err))
		}
		return resp, err
	})
}

// RequestInfo is one request to an upstream: for content, for a token, or where it was sent on to.
type RequestInfo struct {
	Host   string // of the upstream, as content is named by it, wherever the request went
	Status int    // 0 if there was no answer
	Took   time.Duration
	Err    error // why there was no answer
}

// observed tells about requests.
func observeRequests(next http.RoundTripper, host string, tell func(RequestInfo)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := next.RoundTrip(r)
		o := RequestInfo{Host: host, Took: time.Since(start), Err: err}
		if resp != nil {
			o.Status = resp.StatusCode
		}
		tell(o)
		return resp, err
	})
}

// identity says who asks, and that bytes are wanted as they are.
func setHeaders(next http.RoundTripper, agent string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", agent)
		r.Header.Set("Accept-Encoding", "identity")
		r.Header.Del("Referer") // set by redirects; it may hold a signature
		return next.RoundTrip(r)
	})
}

// errNotAllowed: a request was not sent, because of where it would have gone.
var errNotAllowed = errors.New("refused")

// schemeGuard keeps requests of an endpoint of https from going anywhere else without it.
func schemeGuard(next http.RoundTripper, e Endpoint) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || e.URL.Scheme == "https") {
			return nil, fmt.Errorf("%w to go to %s by %s, because https was configured", errNotAllowed, r.URL.Host, r.URL.Scheme)
		}
		return next.RoundTrip(r)
	})
}

// networkError is what came of a request that was sent.
type networkError struct {
	error
	url *url.URL
	// abroad: it went to a host that the endpoint led to.
	otherHost bool
}

func (e networkError) Unwrap() error { return e.error }

// failures marks the errors of requests that were sent.
func markNetworkErrors(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil && !errors.Is(err, errNotAllowed) {
			err = networkError{error: err, url: r.URL}
		}
		return resp, err
	})
}

var errManyRedirects = fmt.Errorf("it redirects more than %d times", maxRedirects)

// checkRedirect is the policy of the [http.Client] that manifests and blobs are asked with. Authorization is added
// below it, for the endpoint's own host only.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errManyRedirects
	}
	if last := via[len(via)-1]; last.URL.Scheme == "https" && r.URL.Scheme != "https" {
		return fmt.Errorf("%w to follow a redirect from https to %s", errNotAllowed, r.URL.Scheme)
	}
	return nil
}
