package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// verdict is what came of a request, for the endpoint and for the part that was asked.
type verdict struct{ endpoint, part outcome }

// judge tells what came of a request. Connections that fail, and silence if /v2/ is silent as well, say that the endpoint
// is gone. What a server answers with, and silence otherwise, is about the part that was asked. What becomes of a host
// that the endpoint leads to is about neither: it has a circuit breaker of its own.
func (o *origin) judge(w *watchdog, begun time.Time, resp *http.Response, err error) verdict {
	var silence timeoutError
	var signIn signInError
	cause := context.Cause(w.ctx)
	switch silent := errors.As(cause, &silence); {
	case cause != nil && !silent:
		return verdict{saysNothing, saysNothing}
	case errors.As(err, &signIn): // after a challenge; requests for tokens have a circuit breaker of their own
		return verdict{answers, isUnclear}
	case err == nil && resp.StatusCode == http.StatusOK && isMarkup(resp): // somebody in between may have answered
		return verdict{isUnclear, isUnclear}
	case err == nil:
		return o.judgeStatus(w, begun, resp.StatusCode)
	case silent:
		return o.judgeSilence(w, begun)
	}
	var network networkError
	var notAsked *notAskedError
	switch {
	case errors.As(err, &notAsked): // a host that the endpoint led to
		return verdict{isUnclear, isUnclear}
	case !errors.As(err, &network):
		return verdict{isUnclear, isUnclear}
	case !o.endpoint.owns(network.url): // the endpoint led there
		return verdict{answers, isUnclear}
	case errors.As(err, &silence):
		return o.judgeSilence(w, begun)
	}
	if o.breaker.brink() {
		return o.inDoubt(w, begun, isUnclear)
	}
	return verdict{fails, isUnclear}
}

// judgeStatus is the verdict on an answer. One error of a server after the other has /v2/ asked.
func (o *origin) judgeStatus(w *watchdog, begun time.Time, status int) verdict {
	if !failing(status) {
		o.noErrors()
		if status < http.StatusBadRequest {
			o.pinger.served()
		}
		return verdict{answers, answers}
	}
	if !o.manyErrors(begun) {
		return verdict{isUnclear, fails}
	}
	return o.inDoubt(w, begun, fails)
}

// manyErrors notes an error of the server's own, and reports whether it is one too many. Then the next one is the first
// again.
func (o *origin) manyErrors(begun time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures.add(begun, nil)
	if o.failures.count < breakerFailures {
		return false
	}
	o.failures.count = 0
	return true
}

func (o *origin) noErrors() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = row{}
}

// judgeSilence is the verdict on no answer.
func (o *origin) judgeSilence(w *watchdog, begun time.Time) verdict {
	return o.inDoubt(w, begun, fails)
}

// inDoubt has /v2/ asked. If that fails or is silent as well, the circuit breaker opens; else the failure is that of the
// part.
func (o *origin) inDoubt(w *watchdog, begun time.Time, part outcome) verdict {
	err := o.vouch(w.caller, begun)
	switch {
	case w.caller.Err() != nil:
		return verdict{saysNothing, saysNothing}
	case err != nil:
		o.breaker.push()
		return verdict{fails, isUnclear}
	}
	return verdict{answers, part}
}

// answer asks this endpoint, unless that is gone, or what is asked for has failed again and again. It ends watch, or
// leaves it to the answer.
func (o *origin) answer(watch *watchdog, method string, t target) (*answer, error) {
	whole, part := &o.breaker, o.parts.breaker(watch.ctx, o, t)
	toWhole, err := whole.enter(watch.ctx, "it counts as gone")
	if err != nil {
		watch.end()
		return nil, t.failed(err)
	}
	toPart, err := part.enter(watch.ctx, "it failed again and again")
	if err != nil {
		whole.leave(toWhole, saysNothing, nil)
		watch.end()
		return nil, t.failed(err)
	}
	resp, err := o.persist(watch, method, t)
	watch.arrived()
	found := o.judge(watch, toWhole.begun, resp, err)
	var a *answer
	if err != nil {
		err = o.unanswered(t, err, watch.reason(err))
		watch.end()
	} else {
		o.answered.Store(true)
		a = &answer{Response: resp, about: t, from: o, watch: watch}
		if err = a.check(); err != nil {
			a.close()
			a = nil
		}
	}
	whole.leave(toWhole, found.endpoint, err)
	part.leave(toPart, found.part, err)
	return a, err
}
