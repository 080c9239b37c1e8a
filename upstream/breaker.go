package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"airmirror/mirror"
)

const (
	breakerFailures = 3                // one after another, and it opens
	firstCoolDown   = 10 * time.Second // from then on until a probe may ask
	longestCoolDown = time.Minute      // it doubles with each probe that fails
)

// outcome is what a request says about the endpoint that it went to.
type outcome int

const (
	saysNothing outcome = iota // the caller left
	isUnclear                  // somebody else answered, or the request could not be sent
	answers
	fails // no connection, no answer in time, or an error of the server's own
)

// breaker is a circuit breaker. It keeps requests from an endpoint that is gone, or from a part of one that fails. After some failures in a row they end at once; after a while
// one at a time is let through, as a probe, and the first that is answered lets in all. The zero value is ready.
//
// Waiting is counted by the monotonic clock: times are made by [now] and compared with one another only.
//
// It is home-made because common ones have a cool-down that does not grow and cannot be told what came of a request
// that was let past them.
type breaker struct {
	mu       sync.Mutex
	failures row
	coolDown time.Duration
	until    time.Time // no probe before
	probing  bool
	answered bool // anything, ever
	pushed   bool // the next failure opens it
	// vain are requests in a row that came to nothing, whether that is a sign that the endpoint is gone or not. They are
	// only for people.
	vain row
}

// passage is the right to send one request.
type passage struct {
	begun time.Time
	probe bool
}

// notAskedError: a request was not sent, by this mirror's own decision.
type notAskedError struct {
	why    string
	until  time.Time
	cause  error
	abroad bool // of a host that the endpoint led to, which counts as gone
}

func (e *notAskedError) Error() string {
	s := fmt.Sprintf("%s until %s", e.why, e.until.UTC().Format(time.RFC3339))
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *notAskedError) Unwrap() error { return e.cause }

// enter asks for the right to send a request; leave ends it. A caller that insists always gets it.
func (b *breaker) enter(ctx context.Context, why string) (passage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := passage{begun: now()}
	if b.failures.count < breakerFailures || mirror.BypassesBreaker(ctx) {
		return p, nil
	}
	if b.probing || p.begun.Before(b.until) {
		return p, &notAskedError{why: why, until: b.until, cause: b.failures.err}
	}
	b.probing, p.probe = true, true
	return p, nil
}

// leave says what came of a request, and with which error.
func (b *breaker) leave(p passage, o outcome, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.probe {
		b.probing = false
	}
	b.noteVain(p, o, err)
	switch {
	case o == answers:
		b.answered, b.pushed = true, false
		b.failures, b.until = row{}, time.Time{}
	case o == fails:
		b.fail(p, err)
	}
}

// noteVain takes up what came of a request, for people. That the endpoint does not have something is an answer.
func (b *breaker) noteVain(p passage, o outcome, err error) {
	switch {
	case o == saysNothing:
	case mirror.CodeOf(err) == mirror.CodeUnavailable:
		b.vain.add(p.begun, err)
	default:
		b.vain = row{}
	}
}

func (b *breaker) fail(p passage, err error) {
	closed := b.failures.count < breakerFailures
	if p.probe {
		b.failures.force(err)
	} else if !b.failures.add(p.begun, err) {
		return
	}
	if b.pushed {
		b.failures.count, b.pushed = max(b.failures.count, breakerFailures), false
	}
	switch {
	case closed && b.failures.count >= breakerFailures:
		b.coolDown = firstCoolDown
	case p.probe:
		b.coolDown = min(2*b.coolDown, longestCoolDown)
	default:
		return
	}
	b.until = b.failures.last.Add(b.coolDown)
}

// brink reports whether one failure more opens it.
func (b *breaker) brink() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures.count == breakerFailures-1
}

// push has the next failure open it: it is known to be more than that of one request.
func (b *breaker) push() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pushed = true
}

// health is how an endpoint is doing.
type health struct {
	asked       bool // it answered or failed
	gone        bool
	since, last time.Time
	failures    int
	err         error
}

func (b *breaker) health() health {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.failures
	if shown.count == 0 {
		shown = b.vain
	}
	return health{
		asked: b.answered || shown.count > 0, gone: b.failures.count >= breakerFailures,
		since: b.failures.first, last: shown.last, failures: shown.count, err: shown.err,
	}
}
