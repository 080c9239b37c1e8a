package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// guarded keeps a host that an endpoint leads to from being asked while it is gone, or wants a pause. It has limit to
// begin an answer. Neither says anything about the endpoint, nor about other hosts.
func guardOtherHosts(next http.RoundTripper, e Endpoint, p *limits, limit time.Duration) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if e.owns(r.URL) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				p.recordLimit(r, resp)
			}
			return resp, err
		}
		h := p.host(r.Context(), canonicalAuthority(r.URL))
		if blocked := h.throttle.blocked(); blocked != nil {
			blocked.why = r.URL.Host + " is rate-limited"
			return nil, blocked
		}
		pass, err := h.breaker.allow(r.Context(), r.URL.Host+" counts as gone")
		if err != nil {
			return nil, markOtherHost(err)
		}
		ctx, cancel := context.WithCancelCause(r.Context()) // it ends with the body of the answer
		timer := time.AfterFunc(limit, func() { cancel(timeoutError(limit)) })
		resp, err := next.RoundTrip(r.WithContext(ctx))
		timer.Stop()
		switch cause := context.Cause(ctx); {
		case err == nil:
			h.throttle.recordLimit(resp)
			h.breaker.report(pass, outcomeSuccess, nil)
			return resp, nil
		case cause != nil && r.Context().Err() == nil:
			err = networkError{error: cause, url: r.URL}
		case cause != nil && !isTimeout(cause): // the caller left
			h.breaker.report(pass, outcomeCanceled, nil)
			cancel(nil)
			return nil, err
		}
		h.breaker.report(pass, outcomeFailure, err)
		cancel(nil)
		return nil, markOtherHost(err)
	})
}

// markOtherHost marks what became of a request to a host that the endpoint led to.
func markOtherHost(err error) error {
	var notAsked *notSentError
	if errors.As(err, &notAsked) {
		notAsked.otherHost = true
		return notAsked
	}
	var network networkError
	if errors.As(err, &network) {
		network.otherHost = true
		return network
	}
	return err
}
