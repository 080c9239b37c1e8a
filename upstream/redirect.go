package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRedirects is how many redirects of a request are followed.
const maxRedirects = 10

var (
	// errRefused is the reason why this package did not send a request: the destination is not allowed.
	errRefused       = errors.New("refused")
	errManyRedirects = fmt.Errorf("it redirects more than %d times", maxRedirects)
	errBadRedirect   = errors.New("it redirects to an invalid URL")
)

// checkRedirect is the redirect policy of the [http.Client] for manifests and blobs. The authorizer below that client
// sets the Authorization header for each host.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errManyRedirects
	}
	if last := via[len(via)-1]; last.URL.Scheme == "https" && r.URL.Scheme != "https" {
		return fmt.Errorf("%w to follow a redirect from https to %s", errRefused, r.URL.Scheme)
	}
	return nil
}

// checkTokenRedirect is the redirect policy for token requests: credentials are only sent to the host that the challenge
// named.
func checkTokenRedirect(r *http.Request, via []*http.Request) error {
	if sameOrSafer(via[0].URL, r.URL) {
		return checkRedirect(r, via)
	}
	if r.Method == http.MethodPost {
		return fmt.Errorf("%w to follow a redirect to %s with credentials for %s", errRefused, r.URL.Host, via[0].URL.Host)
	}
	r.Header.Del("Authorization")
	return checkRedirect(r, via)
}

// sendWithoutURL sends r. Its errors do not contain URLs, unlike those of [http.Client.Do]: the signature in a URL gives
// access to content.
func sendWithoutURL(client *http.Client, r *http.Request) (*http.Response, error) {
	resp, err := client.Do(r)
	var withURL *url.Error
	if !errors.As(err, &withURL) {
		return resp, err
	}
	if strings.Contains(withURL.Err.Error(), "Location header") { // the text quotes it
		return nil, errBadRedirect
	}
	return nil, withURL.Err
}

// requireHTTPS refuses requests over http if the endpoint uses https.
func requireHTTPS(next http.RoundTripper, e Endpoint) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || e.URL.Scheme == "https") {
			return nil, fmt.Errorf("%w to send a request to %s over %s: https is configured", errRefused, r.URL.Host, r.URL.Scheme)
		}
		return next.RoundTrip(r)
	})
}

// guardOtherHosts applies a circuit breaker and a rate limit to each host that the endpoint refers to. Such a host must
// begin its response within limit. Its failures say nothing about the endpoint, nor about other hosts.
func guardOtherHosts(next http.RoundTripper, e Endpoint, l *limits, limit time.Duration) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if e.owns(r.URL) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				l.recordLimit(r, resp)
			}
			return resp, err
		}
		h := l.host(r.Context(), canonicalAuthority(r.URL))
		if blocked := h.throttle.blocked(); blocked != nil {
			blocked.why = "the rate limit of " + r.URL.Host + " is reached"
			return nil, blocked
		}
		permit, err := h.breaker.allow(r.Context(), r.URL.Host+" is down")
		if err != nil {
			return nil, markOtherHost(err)
		}
		ctx, cancel := context.WithCancelCause(r.Context()) // canceled when the body of the response ends
		timer := time.AfterFunc(limit, func() { cancel(timeoutError(limit)) })
		resp, err := next.RoundTrip(r.WithContext(ctx))
		timer.Stop()
		switch cause := context.Cause(ctx); {
		case err == nil:
			h.throttle.recordLimit(resp)
			h.breaker.report(permit, outcomeSuccess, nil)
			return resp, nil
		case cause != nil && r.Context().Err() == nil:
			err = networkError{error: cause, url: r.URL}
		case cause != nil && !isTimeout(cause): // the caller canceled the request
			h.breaker.report(permit, outcomeCanceled, nil)
			cancel(nil)
			return nil, err
		}
		h.breaker.report(permit, outcomeFailure, err)
		cancel(nil)
		return nil, markOtherHost(err)
	})
}

// markOtherHost marks the error of a request to a host that the endpoint refers to.
func markOtherHost(err error) error {
	var notSent *notSentError
	if errors.As(err, &notSent) {
		notSent.otherHost = true
		return notSent
	}
	var network networkError
	if errors.As(err, &network) {
		network.otherHost = true
		return network
	}
	return err
}
