package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// verdict is what came of a request, for the endpoint and for the part that was asked.
type outcomes struct{ endpoint, content outcome }

// judge tells what came of a request. Connections that fail, and silence if /v2/ is silent as well, say that the endpoint
// is gone. What a server answers with, and silence otherwise, is about the part that was asked. What becomes of a host
// that the endpoint leads to is about neither: it has a circuit breaker of its own.
func (e *endpointClient) classify(w *watchdog, begun time.Time, resp *http.Response, err error) outcomes {
	var silence timeoutError
	var signIn signInError
	cause := context.Cause(w.ctx)
	switch silent := errors.As(cause, &silence); {
	case cause != nil && !silent:
		return outcomes{outcomeCanceled, outcomeCanceled}
	case errors.As(err, &signIn): // after a challenge; requests for tokens have a circuit breaker of their own
		return outcomes{outcomeSuccess, outcomeUnknown}
	case err == nil && resp.StatusCode == http.StatusOK && isMarkup(resp): // somebody in between may have answered
		return outcomes{outcomeUnknown, outcomeUnknown}
	case err == nil:
		return e.classifyStatus(w, begun, resp.StatusCode)
	case silent:
		return e.classifyTimeout(w, begun)
	}
	var network networkError
	var notAsked *notSentError
	switch {
	case errors.As(err, &notAsked): // a host that the endpoint led to
		return outcomes{outcomeUnknown, outcomeUnknown}
	case !errors.As(err, &network):
		return outcomes{outcomeUnknown, outcomeUnknown}
	case !e.endpoint.owns(network.url): // the endpoint led there
		return outcomes{outcomeSuccess, outcomeUnknown}
	case errors.As(err, &silence):
		return e.classifyTimeout(w, begun)
	}
	if e.breaker.nearlyOpen() {
		return e.checkEndpoint(w, begun, outcomeUnknown)
	}
	return outcomes{outcomeFailure, outcomeUnknown}
}

// classifyStatus is the verdict on an answer. One error of a server after the other has /v2/ asked.
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

// addServerError notes an error of the server's own, and reports whether it is one too many. Then the next one is the first
// again.
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

// classifyTimeout is the verdict on no answer.
func (e *endpointClient) classifyTimeout(w *watchdog, begun time.Time) outcomes {
	return e.checkEndpoint(w, begun, outcomeFailure)
}

// checkEndpoint has /v2/ asked. If that fails or is silent as well, the circuit breaker opens; else the failure is that of the
// part.
func (e *endpointClient) checkEndpoint(w *watchdog, begun time.Time, part outcome) outcomes {
	err := e.checkAlive(w.caller, begun)
	switch {
	case w.caller.Err() != nil:
		return outcomes{outcomeCanceled, outcomeCanceled}
	case err != nil:
		e.breaker.openOnFailure()
		return outcomes{outcomeFailure, outcomeUnknown}
	}
	return outcomes{outcomeSuccess, part}
}

// answer asks this endpoint, unless that is gone, or what is asked for has failed again and again. It ends watch, or
// leaves it to the answer.
func (e *endpointClient) do(w *watchdog, method string, t target) (*response, error) {
	whole, part := &e.breaker, e.limits.breaker(w.ctx, e, t)
	toWhole, err := whole.allow(w.ctx, "it counts as gone")
	if err != nil {
		w.close()
		return nil, t.failed(err)
	}
	toPart, err := part.allow(w.ctx, "it failed again and again")
	if err != nil {
		whole.report(toWhole, outcomeCanceled, nil)
		w.close()
		return nil, t.failed(err)
	}
	resp, err := e.sendWithRetry(w, method, t)
	w.headersReceived()
	found := e.classify(w, toWhole.begun, resp, err)
	var a *response
	if err != nil {
		err = e.networkFailed(t, err, w.cause(err))
		w.close()
	} else {
		e.answered.Store(true)
		a = &response{Response: resp, target: t, endpoint: e, watchdog: w}
		if err = a.check(); err != nil {
			a.close()
			a = nil
		}
	}
	whole.report(toWhole, found.endpoint, err)
	part.report(toPart, found.content, err)
	return a, err
}
