package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// outcomes are what a request says about the endpoint and about the content that was requested.
type outcomes struct{ endpoint, content outcome }

// classify returns the outcomes of a request. Connections that fail, and timeouts if /v2/ times out as well, count against
// the endpoint. Statuses, and other timeouts, count against the content. Failures of another host that the endpoint refers
// to count against neither: that host has its own circuit breaker.
func (e *endpointClient) classify(w *watchdog, begun time.Time, resp *http.Response, err error) outcomes {
	var timeout timeoutError
	var signIn signInError
	cause := context.Cause(w.ctx)
	switch timedOut := errors.As(cause, &timeout); {
	case cause != nil && !timedOut:
		return outcomes{outcomeCanceled, outcomeCanceled}
	case errors.As(err, &signIn): // the endpoint sent a challenge; token requests have their own circuit breaker
		return outcomes{outcomeSuccess, outcomeUnknown}
	case err == nil && resp.StatusCode == http.StatusOK && isMarkup(resp): // it may come from a proxy or a sign-in page
		return outcomes{outcomeUnknown, outcomeUnknown}
	case err == nil:
		return e.classifyStatus(w, begun, resp.StatusCode)
	case timedOut:
		return e.classifyTimeout(w, begun)
	}
	var network networkError
	var notSent *notSentError
	switch {
	case errors.As(err, &notSent): // to another host
		return outcomes{outcomeUnknown, outcomeUnknown}
	case !errors.As(err, &network):
		return outcomes{outcomeUnknown, outcomeUnknown}
	case !e.endpoint.owns(network.url): // the endpoint sent a redirect to that host
		return outcomes{outcomeSuccess, outcomeUnknown}
	case errors.As(err, &timeout):
		return e.classifyTimeout(w, begun)
	}
	if e.breaker.nearlyOpen() {
		return e.checkEndpoint(w, begun, outcomeUnknown)
	}
	return outcomes{outcomeFailure, outcomeUnknown}
}

// classifyStatus returns the outcomes of a response. A streak of server errors causes a request of /v2/.
func (e *endpointClient) classifyStatus(w *watchdog, begun time.Time, status int) outcomes {
	if !isServerError(status) {
		e.resetServerErrors()
		if status < http.StatusBadRequest {
			e.pinger.contentServed()
		}
		return outcomes{outcomeSuccess, outcomeSuccess}
	}
	if !e.addServerError(begun) {
		return outcomes{outcomeUnknown, outcomeFailure}
	}
	return e.checkEndpoint(w, begun, outcomeFailure)
}

// classifyTimeout returns the outcomes of a request without a response.
func (e *endpointClient) classifyTimeout(w *watchdog, begun time.Time) outcomes {
	return e.checkEndpoint(w, begun, outcomeFailure)
}

// checkEndpoint requests /v2/. If that fails as well, the circuit breaker of the endpoint opens. Otherwise the failure is
// that of the content.
func (e *endpointClient) checkEndpoint(w *watchdog, begun time.Time, content outcome) outcomes {
	err := e.checkAlive(w.caller, begun)
	switch {
	case w.caller.Err() != nil:
		return outcomes{outcomeCanceled, outcomeCanceled}
	case err != nil:
		e.breaker.openOnFailure()
		return outcomes{outcomeFailure, outcomeUnknown}
	}
	return outcomes{outcomeSuccess, content}
}

// isServerError reports whether a status is an error of the server itself.
func isServerError(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}
