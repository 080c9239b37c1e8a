package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pinger asks /v2/ whether an endpoint is there at all, when that is in doubt: before its circuit breaker opens, and
// while a request waits for longer than the timeout. It may be used concurrently.
type pinger struct {
	calls callGroup[bool]

	mu    sync.Mutex
	begun time.Time // the last one that came to its end
	err   error     // of it
	// odd tells that /v2/ failed while content was served: with static hosting it need not be anything.
	failed, unreliable bool
}

// vouch returns nil if /v2/ answers, or did so to a question that was put after since. ctx is of whoever wants to know.
func (e *endpointClient) checkAlive(ctx context.Context, since time.Time) error {
	p := &e.pinger
	p.mu.Lock()
	recent, err := p.begun.After(since), p.err
	p.mu.Unlock()
	if recent {
		return err
	}
	_, err = p.calls.do(ctx, "", func(ctx context.Context) (bool, error) { return true, e.ping(ctx) })
	return err
}

// ping asks once, for half of the timeout.
func (e *endpointClient) ping(waiting context.Context) error {
	patience, begun := e.opts.Timeout/2, time.Now()
	ctx, cancel := context.WithTimeoutCause(withScope(withKind(waiting, pingKind), ""), patience, timeoutError(patience))
	defer cancel()
	u := *e.endpoint.URL
	u.Path = e.endpoint.api()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	status := 0
	if resp, why := e.base.RoundTrip(r); why != nil {
		err = why
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	} else {
		_ = resp.Body.Close()
		status = resp.StatusCode
	}
	p := &e.pinger
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = isServerError(status)
	if p.failed && !p.unreliable {
		err = fmt.Errorf("%s answers %w", u.Path, &statusError{status: status})
	}
	if waiting.Err() == nil { // else nobody waits, and it says nothing
		p.begun, p.err = begun, err
	}
	return err
}

// served notes that content came.
func (p *pinger) contentServed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreliable = p.unreliable || p.failed
}

// failing reports whether a status is an error of a server's own.
func isServerError(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}
