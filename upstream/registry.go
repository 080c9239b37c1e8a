package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

// registry is one upstream: endpoints that are tried in turn, and the limits that they share. It is safe for concurrent
// use.
type registry struct {
	config    Config
	endpoints []*endpointClient
	opts      Options
	limiter   *rate.Limiter       // nil without a limit
	slots     *semaphore.Weighted // for transfers; nil without a limit
}

func newRegistry(c Config, pool transportPool, opts Options) (*registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &registry{config: c, opts: opts}
	for _, ec := range c.endpoints() {
		e, err := newEndpointClient(mirror.CanonicalHost(c.Host), ec, pool, opts)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: endpoint %q: %w", c.Host, ec.URL, err)
		}
		r.endpoints = append(r.endpoints, e)
	}
	if c.RequestsPerSecond > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(c.RequestsPerSecond), max(1, c.Burst))
	}
	if c.Parallel > 0 {
		r.slots = semaphore.NewWeighted(int64(c.Parallel))
	}
	return r, nil
}

// uncertainError is the "not found" of the last endpoint, where an earlier one failed and might have had the content.
type uncertainError struct{ error }

func (e uncertainError) Unwrap() error { return e.error }

// do requests t from the endpoints in turn, until one has it. They share the timeout: each may take the remaining time
// divided by the number of remaining endpoints, so that one that hangs leaves time for the next.
func (r *registry) do(ctx context.Context, method string, t target) (*response, error) {
	if t.kind != catalogKind && !r.config.allows(t.repo.Path) {
		return nil, mirror.Errorf(mirror.CodeDenied, "the configuration of upstream %s does not allow to fetch %s", t.repo.Host, t.repo)
	}
	deadline := time.Now().Add(r.opts.Timeout)
	if err := r.waitForRate(ctx, time.Now().Add(r.opts.Timeout/2)); err != nil { // the other half is for the response
		return nil, t.failed(err)
	}
	endpoints, uncertain := r.endpoints, false
	if t.endpoint != nil {
		endpoints = []*endpointClient{t.endpoint}
	}
	for i, e := range endpoints {
		left := time.Until(deadline) / time.Duration(len(endpoints)-i)
		last := i == len(endpoints)-1
		resp, err := e.do(e.newWatchdog(ctx, left, t.kind, last), method, t)
		switch {
		case err == nil:
			return resp, nil
		case last && uncertain && isUnknown(err):
			return nil, uncertainError{err}
		case last, ctx.Err() != nil:
			return nil, err
		}
		uncertain = uncertain || !isUnknown(err)
	}
	return nil, errors.New("the upstream has no endpoints") // newRegistry makes none
}

// waitForRate waits for [Config.RequestsPerSecond]. It fails at once if the wait would end after deadline.
func (r *registry) waitForRate(ctx context.Context, deadline time.Time) error {
	if r.limiter == nil {
		return nil
	}
	reservation := r.limiter.Reserve()
	wait := reservation.Delay()
	if at := time.Now().Add(wait); at.After(deadline) {
		reservation.Cancel()
		return &notSentError{why: fmt.Sprintf("the configured limit of %v requests per second is reached", r.config.RequestsPerSecond), until: at}
	}
	return sleep(ctx, wait)
}

// acquireSlot waits until another transfer may begin. The caller calls release when the transfer has ended.
func (r *registry) acquireSlot(ctx context.Context) (release func(), err error) {
	if r.slots == nil {
		return func() {}, nil
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { r.slots.Release(1) }, nil
}

// status sums up the endpoints: the upstream is down if all of them are. It reports the failures of the endpoint that
// failed last.
func (r *registry) status() mirror.UpstreamStatus {
	s := mirror.UpstreamStatus{Host: mirror.CanonicalHost(r.config.Host), Down: true}
	var last time.Time
	for _, e := range r.endpoints {
		s.URLs = append(s.URLs, e.endpoint.URL.String())
		health := e.breaker.health()
		s.Asked = s.Asked || health.used
		s.Down = s.Down && health.down
		if s.Down && health.since.After(s.Since) {
			s.Since = health.since.UTC().Truncate(time.Second)
		}
		if health.failures > 0 && health.last.After(last) {
			last, s.Failures, s.Error = health.last, health.failures, health.err.Error()
		}
		if blocked := e.limits.blocked(); blocked != nil && s.Error == "" {
			s.Error = blocked.Error()
		}
	}
	if !s.Down {
		s.Since = time.Time{}
	}
	return s
}

// sleep waits for d or until ctx ends; then it returns the cause.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isUnknown reports whether err says that the upstream itself does not have the content.
func isUnknown(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, mirror.CodeNameUnknown:
		return true
	}
	return false
}
