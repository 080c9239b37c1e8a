package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"airmirror/mirror"
)

const (
	maxFailures   = 3                // in a row, before the circuit breaker opens
	firstCoolDown = 10 * time.Second // from then until the first probe
	maxCoolDown   = time.Minute      // the cool-down doubles after each probe that fails
)

// outcome is what a request says about the endpoint or the content that it was for.
type outcome int

const (
	outcomeCanceled outcome = iota // the caller canceled the request: it says nothing
	outcomeUnknown                 // another host answered, or the request could not be sent
	outcomeSuccess                 // a response
	outcomeFailure                 // no connection, a timeout or a server error
)

// breaker is a circuit breaker. It stops requests to an endpoint that is down, or for content that keeps failing. After
// maxFailures in a row it opens: requests fail at once. After a cool-down it lets one request at a time through, as a
// probe; the first response closes it. The zero value is a closed breaker. It is safe for concurrent use.
//
// Its times come from [now] and are only compared with one another, so that it measures by the monotonic clock.
//
// Common libraries do not fit: their cool-down does not grow, and they cannot record the outcome of a request that was
// allowed to bypass them.
type breaker struct {
	mu        sync.Mutex
	failures  failureStreak
	coolDown  time.Duration
	until     time.Time // no probe before
	probing   bool
	succeeded bool // at least once
	forced    bool // the next failure opens it
	// unavailable counts requests in a row without the content for any reason that is not the registry's own answer. It
	// is only reported to people.
	unavailable failureStreak
}

// permit is the permission to send one request.
type permit struct {
	begun time.Time
	probe bool
}

// notSentError is the reason why this mirror did not send a request.
type notSentError struct {
	why       string
	until     time.Time // of the next attempt
	cause     error     // the last failure; may be nil
	otherHost bool      // the request was for another host that the endpoint refers to
}

func (e *notSentError) Error() string {
	s := fmt.Sprintf("%s; next attempt at %s", e.why, e.until.UTC().Format(time.RFC3339))
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *notSentError) Unwrap() error { return e.cause }

// allow returns a permit to send one request, or a [notSentError] with this reason. The caller hands the permit back with
// report. It always succeeds if ctx bypasses the breaker.
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

// report records the outcome of a request, and its error.
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

// recordUnavailable counts the request if its content was unavailable. "Not found" is an answer and ends the streak.
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

// nearlyOpen reports whether one more failure opens the breaker.
func (b *breaker) nearlyOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures.count == maxFailures-1
}

// openOnFailure makes the next failure open the breaker: the endpoint itself is known to fail, not one request.
func (b *breaker) openOnFailure() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forced = true
}

// health is the state of an endpoint.
type health struct {
	used        bool // a request succeeded or failed
	down        bool
	since, last time.Time // of the failures
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

// now is the clock of circuit breakers and rate limits: its times are compared with one another by their monotonic
// readings. It is a variable for tests in which the wall clock jumps.
var now = time.Now

// failureStreak is a number of failures in a row. Concurrent requests that fail together count as one failure. The zero
// value is an empty streak.
type failureStreak struct {
	count       int
	first, last time.Time // times of failures
	err         error     // of the last failure
}

// add records the failure of a request that began at begun, and reports whether it counts.
func (s *failureStreak) add(begun time.Time, err error) bool {
	if begun.Before(s.last) {
		return false
	}
	s.addAlways(err)
	return true
}

// addAlways records a failure that counts whenever its request began.
func (s *failureStreak) addAlways(err error) {
	s.last = now()
	if s.count == 0 {
		s.first = s.last
	}
	s.count, s.err = s.count+1, err
}
