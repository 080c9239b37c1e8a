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

// persist sends the request, and sends it again if what went wrong may be a matter of a moment: the connection broke,
// a gateway found nobody behind it, or the endpoint asks for a pause that the caller has time for. It does so once.
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

// worthwhile reports whether there is time for a second attempt.
func (e *endpointClient) canRetry(w *watchdog, method string, t target, resp *http.Response, err error) bool {
	begin := time.Now().Add(retryPause + retryJitter)
	paces := []*throttle{e.limits.throttle(w.ctx, t.kind, method, ""), e.limits.throttle(w.ctx, t.kind, method, e.endpoint.path(t.repo))}
	if resp != nil && !e.endpoint.owns(resp.Request.URL) {
		paces = append(paces, &e.limits.host(w.ctx, canonicalAuthority(resp.Request.URL)).throttle)
	}
	var signIn *statusError
	if errors.As(err, &signIn) { // by whichever method was limited
		for _, path := range []string{"", e.endpoint.path(t.repo)} {
			paces = append(paces, e.limits.throttle(w.ctx, tokenKind, http.MethodGet, path), e.limits.throttle(w.ctx, tokenKind, http.MethodPost, path))
		}
		paces = append(paces, &e.limits.host(w.ctx, signIn.host).throttle)
	}
	for _, p := range paces {
		if blocked := p.blocked(); blocked != nil && blocked.until.After(begin) {
			begin = blocked.until
		}
	}
	return w.ctx.Err() == nil && begin.Before(w.halfway())
}

// passing reports whether what went wrong may be over in a moment. A link to storage that is refused or leads to nothing
// may be one that has expired, or came too early: the endpoint has others.
func (e *endpointClient) transient(resp *http.Response, err error) bool {
	if err == nil {
		elsewhere := !e.endpoint.owns(resp.Request.URL) && isMarkup(resp) && (deniedStatus(resp.StatusCode) || resp.StatusCode == http.StatusNotFound)
		return elsewhere || transientStatus(resp.StatusCode)
	}
	var notAsked *notSentError
	if errors.As(err, &notAsked) {
		return false
	}
	var signIn *statusError
	if errors.As(err, &signIn) {
		return transientStatus(signIn.status)
	}
	var network networkError
	return errors.As(err, &network) && connectionBroken(err)
}

// connectionBroken reports whether a connection ended in place of an answer.
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
