package upstream

import (
	"errors"
	"io"
	"net/http"
	"syscall"
	"time"
)

const (
	retryPause  = 50 * time.Millisecond  // before a request is sent again
	retryJitter = 200 * time.Millisecond // added to it, at most
)

// sendWithRetry sends the request, and sends it once more after a transient failure: the connection broke, a gateway could
// not reach the server, or the endpoint asks for a pause that fits into the timeout.
func (e *endpointClient) sendWithRetry(w *watchdog, method string, t target) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		if err := e.waitForLimits(w, method, t); err != nil {
			return nil, err
		}
		resp, err := e.send(w, method, t)
		if attempt > 1 || !e.transient(resp, err) || !e.canRetry(w, method, t, resp, err) {
			return resp, err
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err := sleep(w.ctx, retryPause+jitter(retryJitter)); err != nil {
			return nil, err
		}
	}
}

// canRetry reports whether the rate limits allow a second attempt in time.
func (e *endpointClient) canRetry(w *watchdog, method string, t target, resp *http.Response, err error) bool {
	begin := time.Now().Add(retryPause + retryJitter)
	throttles := []*throttle{e.limits.throttle(w.ctx, t.kind, method, ""), e.limits.throttle(w.ctx, t.kind, method, e.endpoint.path(t.repo))}
	if resp != nil && !e.endpoint.owns(resp.Request.URL) {
		throttles = append(throttles, &e.limits.host(w.ctx, canonicalAuthority(resp.Request.URL)).throttle)
	}
	var signIn *statusError
	if errors.As(err, &signIn) { // the limit may be of either method
		for _, path := range []string{"", e.endpoint.path(t.repo)} {
			throttles = append(throttles, e.limits.throttle(w.ctx, tokenKind, http.MethodGet, path), e.limits.throttle(w.ctx, tokenKind, http.MethodPost, path))
		}
		throttles = append(throttles, &e.limits.host(w.ctx, signIn.host).throttle)
	}
	for _, t := range throttles {
		if blocked := t.blocked(); blocked != nil && blocked.until.After(begin) {
			begin = blocked.until
		}
	}
	return w.ctx.Err() == nil && begin.Before(w.halfway())
}

// transient reports whether a second attempt may succeed. A link to storage that is denied or not found may have expired, or
// may not be valid yet: the endpoint creates a new one for each request.
func (e *endpointClient) transient(resp *http.Response, err error) bool {
	if err == nil {
		badLink := !e.endpoint.owns(resp.Request.URL) && isMarkup(resp) && (deniedStatus(resp.StatusCode) || resp.StatusCode == http.StatusNotFound)
		return badLink || transientStatus(resp.StatusCode)
	}
	var notSent *notSentError
	if errors.As(err, &notSent) {
		return false
	}
	var signIn *statusError
	if errors.As(err, &signIn) {
		return transientStatus(signIn.status)
	}
	var network networkError
	return errors.As(err, &network) && connectionBroken(err)
}

// connectionBroken reports whether a connection ended before the response.
func connectionBroken(err error) bool {
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}

func transientStatus(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
