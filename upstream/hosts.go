package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// guarded keeps a host that an endpoint leads to from being asked while it is gone, or wants a pause. It has limit to
// begin an answer. Neither says anything about the endpoint, nor about other hosts.
func guarded(next http.RoundTripper, e Endpoint, p *parts, limit time.Duration) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if e.owns(r.URL) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				p.note(r, resp)
			}
			return resp, err
		}
		h := p.host(r.Context(), canonicalAuthority(r.URL))
		if held := h.pace.held(); held != nil {
			held.why = r.URL.Host + " is rate-limited"
			return nil, held
		}
		pass, err := h.breaker.enter(r.Context(), r.URL.Host+" counts as gone")
		if err != nil {
			return nil, ofHost(err)
		}
		ctx, cancel := context.WithCancelCause(r.Context()) // it ends with the body of the answer
		timer := time.AfterFunc(limit, func() { cancel(timeoutError(limit)) })
		resp, err := next.RoundTrip(r.WithContext(ctx))
		timer.Stop()
		switch cause := context.Cause(ctx); {
		case err == nil:
			h.pace.note(resp)
			h.breaker.leave(pass, answers, nil)
			return resp, nil
		case cause != nil && r.Context().Err() == nil:
			err = networkError{error: cause, url: r.URL}
		case cause != nil && !isTimeout(cause): // the caller left
			h.breaker.leave(pass, saysNothing, nil)
			cancel(nil)
			return nil, err
		}
		h.breaker.leave(pass, fails, err)
		cancel(nil)
		return nil, ofHost(err)
	})
}

// ofHost marks what became of a request to a host that the endpoint led to.
func ofHost(err error) error {
	var notAsked *notAskedError
	if errors.As(err, &notAsked) {
		notAsked.abroad = true
		return notAsked
	}
	var network networkError
	if errors.As(err, &network) {
		network.abroad = true
		return network
	}
	return err
}
