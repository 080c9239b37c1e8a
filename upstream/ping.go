package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pinger requests /v2/ to find out whether an endpoint is alive: before its circuit breaker opens, and while a request
// takes longer than the timeout. It is safe for concurrent use.
type pinger struct {
	calls callGroup[bool]

	mu    sync.Mutex
	begun time.Time // the last ping that was completed
	err   error     // its error
	// unreliable is true once /v2/ failed while content was served: static hosting may have nothing at that path.
	failed, unreliable bool
}

// checkAlive returns nil if /v2/ answers, or has answered a request that began after since. ctx is the caller's.
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

// ping requests /v2/ once, for half of the timeout, and records the result unless every caller has left.
func (e *endpointClient) ping(callers context.Context) error {
	timeout, begun := e.opts.Timeout/2, time.Now()
	ctx, cancel := context.WithTimeoutCause(withScope(withKind(callers, pingKind), ""), timeout, timeoutError(timeout))
	defer cancel()
	u := *e.endpoint.URL
	u.Path = e.endpoint.api()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	status := 0
	if resp, sendErr := e.base.RoundTrip(r); sendErr != nil {
		err = sendErr
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
	if callers.Err() == nil { // otherwise the ping was canceled, and says nothing
		p.begun, p.err = begun, err
	}
	return err
}

// contentServed records that the endpoint served content.
func (p *pinger) contentServed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreliable = p.unreliable || p.failed
}
