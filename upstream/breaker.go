package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"airmirror/mirror"
)

const (
	maxFailures   = 3                // one after another, and it opens
	firstCoolDown = 10 * time.Second // from then on until a probe may ask
	maxCoolDown   = time.Minute      // it doubles with each probe that fails
)

// outcome is what a request says about the endpoint that it went to.
type outcome int

const (
	outcomeCanceled outcome = iota // the caller left
	outcomeUnknown                 // somebody else answered, or the request could not be sent
	outcomeSuccess
	outcomeFailure // no connection, no answer in time, or an error of the server's own
)

// breaker is a circuit breaker. It keeps requests from an endpoint that is gone, or from a part of one that fails. After some failures in a row they end at once; after a while
// one at a time is let through, as a probe, and the first that is answered lets in all. The zero value is ready.
//
// Waiting is counted by the monotonic clock: times are made by [now] and compared with one another only.
//
// It is home-made because common ones have a cool-down that does not grow and cannot be told what came of a request
// that was let past them.
type breaker struct {
	mu        sync.Mutex
	failures  failureStreak
	coolDown  time.Duration
	until     time.Time // no probe before
	probing   bool
	succeeded bool // anything, ever
	forced    bool // the next failure opens it
	// vain are requests in a row that came to nothing, whether that is a sign that the endpoint is gone or not. They are
	// only for people.
	unavailable failureStreak
}

// passage is the right to send one request.
type permit struct {
	begun time.Time
	probe bool
}

// notSentError: a request was not sent, by this mirror's own decision.
type notSentError struct {
	why       string
	until     time.Time
	cause     error
	otherHost bool // of a host that the endpoint led to, which counts as gone
}

func (e *notSentError) Error() string {
	s := fmt.Sprintf("%s until %s", e.why, e.until.UTC().Format(time.RFC3339))
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *notSentError) Unwrap() error { return e.cause }

// enter asks for the right to send a request; leave ends it. A caller that insists always gets it.
func (b *breaker) allow(ctx context.Context, why string) (permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := permit{begun: now()}
	if b.failures.count < maxFailures || mirror.BypassesBreaker(ctx) {
		return p, nil
	}
	if b.probing || p.begun.Before(b.until) {
		return p, &notSentError{why: why, until: b.until, cause: b.failures.err}
	}
	b.probing, p.probe = true, true
	return p, nil
}

// leave says what came of a request, and with which error.
func (b *breaker) report(p permit, o outcome, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.probe {
		b.probing = false
	}
	b.recordUnavailable(p, o, err)
	switch {
	case o == outcomeSuccess:
		b.succeeded, b.forced = true, false
		b.failures, b.until = failureStreak{}, time.Time{}
	case o == outcomeFailure:
		b.fail(p, err)
	}
}

// recordUnavailable takes up what came of a request, for people. That the endpoint does not have something is an answer.
func (b *breaker) recordUnavailable(p permit, o outcome, err error) {
	switch {
	case o == outcomeCanceled:
	case mirror.CodeOf(err) == mirror.CodeUnavailable:
		b.unavailable.add(p.begun, err)
	default:
		b.unavailable = failureStreak{}
	}
}

func (b *breaker) fail(p permit, err error) {
	closed := b.failures.count < maxFailures
	if p.probe {
		b.failures.addAlways(err)
	} else if !b.failures.add(p.begun, err) {
		return
	}
	if b.forced {
		b.failures.count, b.forced = max(b.failures.count, maxFailures), false
	}
	switch {
	case closed && b.failures.count >= maxFailures:
		b.coolDown = firstCoolDown
	case p.probe:
		b.coolDown = min(2*b.coolDown, maxCoolDown)
	default:
		return
	}
	b.until = b.failures.last.Add(b.coolDown)
}

// brink reports whether one failure more opens it.
func (b *breaker) nearlyOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures.count == maxFailures-1
}

// push has the next failure open it: it is known to be more than that of one request.
func (b *breaker) openOnFailure() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forced = true
}

// health is how an endpoint is doing.
type health struct {
	used        bool // it answered or failed
	down        bool
	since, last time.Time
	failures    int
	err         error
}

func (b *breaker) health() health {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.failures
	if shown.count == 0 {
		shown = b.unavailable
	}
	return health{
		used: b.succeeded || shown.count > 0, down: b.failures.count >= maxFailures,
		since: b.failures.first, last: shown.last, failures: shown.count, err: shown.err,
	}
}
