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

// registry is one upstream: the endpoints that are tried in turn, and the limits that they share. It may be used
// concurrently.
type registry struct {
	config    Config
	endpoints []*endpointClient
	opts      Options
	limiter   *rate.Limiter       // nil without a limit
	slots     *semaphore.Weighted // for transfers; nil without a limit
}

func newRegistry(c Config, dial transportPool, opts Options) (*registry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &registry{config: c, opts: opts}
	for _, ec := range c.endpoints() {
		e, err := newEndpointClient(mirror.CanonicalHost(c.Host), ec, dial, opts)
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

// uncertainError is what the last endpoint said, where one before it might have had the content and did not answer.
type uncertainError struct{ error }

func (e uncertainError) Unwrap() error { return e.error }

// ask asks the endpoints for t in turn, until one has it. They share the timeout: each may take what is left of it
// divided by the number of those left, so that one that hangs does not keep the next one from being asked.
func (r *registry) do(ctx context.Context, method string, t target) (*response, error) {
	if t.kind != catalogKind && !r.config.allows(t.repo.Path) {
		return nil, mirror.Errorf(mirror.CodeDenied, "the configuration of upstream %s does not allow to fetch %s", t.repo.Host, t.repo)
	}
	deadline := time.Now().Add(r.opts.Timeout)
	if err := r.waitForRate(ctx, time.Now().Add(r.opts.Timeout/2)); err != nil { // and as much is left for the answer
		return nil, t.failed(err)
	}
	origins, unsure := r.endpoints, false
	if t.endpoint != nil {
		origins = []*endpointClient{t.endpoint}
	}
	for i, e := range origins {
		left := time.Until(deadline) / time.Duration(len(origins)-i)
		a, err := e.do(e.newWatchdog(ctx, left, t.kind, i == len(origins)-1), method, t)
		switch last := i == len(origins)-1; {
		case err == nil:
			return a, nil
		case last && unsure && isUnknown(err):
			return nil, uncertainError{err}
		case last, ctx.Err() != nil:
			return nil, err
		}
		unsure = unsure || !isUnknown(err)
	}
	return nil, errors.New("an upstream without endpoints") // newRegistry makes none
}

// turn waits for the rate limit, not beyond deadline.
func (r *registry) waitForRate(ctx context.Context, deadline time.Time) error {
	if r.limiter == nil {
		return nil
	}
	turn := r.limiter.Reserve()
	wait := turn.Delay()
	if time.Now().Add(wait).After(deadline) {
		turn.Cancel()
		return &notSentError{why: fmt.Sprintf("this mirror keeps to %v requests per second and is busy", r.config.RequestsPerSecond), until: time.Now().Add(wait)}
	}
	return sleep(ctx, wait)
}

// slot waits for the turn of a transfer, which ends with release.
func (r *registry) slot(ctx context.Context) (release func(), err error) {
	if r.slots == nil {
		return func() {}, nil
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { r.slots.Release(1) }, nil
}

// status sums up the endpoints: the upstream is gone if all of them are, and its failures are those of the one that
// failed last.
func (r *registry) status() mirror.UpstreamStatus {
	s := mirror.UpstreamStatus{Host: mirror.CanonicalHost(r.config.Host), Down: true}
	var last time.Time
	for _, e := range r.endpoints {
		s.URLs = append(s.URLs, e.endpoint.URL.String())
		health := e.breaker.health()
		s.Asked = s.Asked || health.used
		s.Down = s.Down && health.down
		if s.Down {
			s.Since = max(s.Since, health.since.Unix())
		}
		if health.failures > 0 && health.last.After(last) {
			last, s.Failures, s.Error = health.last, health.failures, health.err.Error()
		}
		if blocked := e.limits.blocked(); blocked != nil && s.Error == "" {
			s.Error = blocked.Error()
		}
	}
	if !s.Down {
		s.Since = 0
	}
	return s
}

// sleep waits for d or until ctx ends.
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

// isUnknown reports whether err is an upstream's own word that it does not have the content.
func isUnknown(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, mirror.CodeNameUnknown:
		return true
	}
	return false
}
