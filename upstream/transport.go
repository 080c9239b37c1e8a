package upstream

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// decorate returns the round trippers that every request to e passes; the package comment lists them.
func decorate(base http.RoundTripper, e Endpoint, l *limits, opts Options) http.RoundTripper {
	agent := "airmirror"
	if opts.Version != "" {
		agent += "/" + opts.Version
	}
	rt := logRequests(base, opts.Logger)
	if opts.Observe != nil {
		rt = observeRequests(rt, e.Host, opts.Observe)
	}
	rt = setHeaders(rt, agent)
	rt = requireHTTPS(rt, e)
	rt = markNetworkErrors(rt)
	return guardOtherHosts(rt, e, l, opts.StallTimeout)
}

// roundTripper is a function that is an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// logRequests logs requests without their queries, which may contain signatures.
func logRequests(next http.RoundTripper, log *zap.Logger) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := withoutHeaderText(next.RoundTrip(r))
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

var errMalformedHeader = errors.New("the response has a malformed header")

// withoutHeaderText replaces an error of net/http that quotes a line of the response's header: it may be a Location with a
// signature.
func withoutHeaderText(resp *http.Response, err error) (*http.Response, error) {
	if err != nil && strings.Contains(err.Error(), "malformed MIME header") {
		return nil, errMalformedHeader
	}
	return resp, err
}

// RequestInfo describes a request to an upstream: for content, for a token, or to a host that the upstream refers to.
type RequestInfo struct {
	Host   string // of the upstream, as in the names of repositories, whichever host the request was sent to
	Status int    // 0 without a response
	Took   time.Duration
	Err    error // why there is no response
}

// observeRequests calls observe after each request.
func observeRequests(next http.RoundTripper, host string, observe func(RequestInfo)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := next.RoundTrip(r)
		info := RequestInfo{Host: host, Took: time.Since(start), Err: err}
		if resp != nil {
			info.Status = resp.StatusCode
		}
		observe(info)
		return resp, err
	})
}

// setHeaders adds the User-Agent and asks for bytes without a content encoding.
func setHeaders(next http.RoundTripper, agent string) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", agent)
		r.Header.Set("Accept-Encoding", "identity")
		r.Header.Del("Referer") // redirects set it; it may contain a signature
		return next.RoundTrip(r)
	})
}

// networkError is the error of a request that was sent.
type networkError struct {
	error
	url       *url.URL
	otherHost bool // it was sent to another host that the endpoint refers to
}

func (e networkError) Unwrap() error { return e.error }

// markNetworkErrors turns the errors of requests that were sent into [networkError].
func markNetworkErrors(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil && !errors.Is(err, errRefused) {
			err = networkError{error: err, url: r.URL}
		}
		return resp, err
	})
}
