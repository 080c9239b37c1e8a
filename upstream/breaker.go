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
// Waiting is counted by the monotonic clock: times are made by time.Now and compared with one another only.
//
// It is home-made because common ones have a cool-down that does not grow and cannot be told what came of a request
// that was let past them.
type breaker struct {
	mu       sync.Mutex
	failures int
	first    time.Time // failure in the row
	last     time.Time // failure in the row
	err      error     // of the last
	coolDown time.Duration
	until    time.Time // no probe before
	probing  bool
	answered bool // anything, ever
	pushed   bool // the next failure opens it
	vain     vain
}

// vain are requests in a row that came to nothing, whether that is a sign that the endpoint is gone or not. They are only
// for people.
type vain struct {
	count int
	last  time.Time
	err   error // of the last
}

// note takes up what came of a request. That the endpoint does not have something is an answer.
func (v *vain) note(o outcome, err error) {
	switch {
	case o == saysNothing:
	case mirror.CodeOf(err) == mirror.CodeUnavailable:
		v.count, v.last, v.err = v.count+1, time.Now(), err
	default:
		*v = vain{}
	}
}

// passage is the right to send one request.
type passage struct {
	begun time.Time
	probe bool
}

// notAskedError: a request was not sent, by this mirror's own decision.
type notAskedError struct {
	why   string
	until time.Time
	cause error
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
	p := passage{begun: time.Now()}
	if b.failures < breakerFailures || mirror.Insists(ctx) {
		return p, nil
	}
	if b.probing || p.begun.Before(b.until) {
		return p, &notAskedError{why: why, until: b.until, cause: b.err}
	}
	b.probing, p.probe = true, true
	return p, nil
}

// leave says what came of a request, and with which error. Requests that were under way together fail together: that
// counts as one failure.
func (b *breaker) leave(p passage, o outcome, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.probe {
		b.probing = false
	}
	b.vain.note(o, err)
	switch {
	case o == answers:
		b.answered, b.pushed = true, false
		b.failures, b.err, b.last, b.until = 0, nil, time.Time{}, time.Time{}
	case o == fails && (p.probe || !p.begun.Before(b.last)):
		b.fail(p, err)
	}
}

func (b *breaker) fail(p passage, err error) {
	now := time.Now()
	if b.failures == 0 {
		b.first = now
	}
	closed := b.failures < breakerFailures
	b.failures++
	if b.pushed {
		b.failures, b.pushed = max(b.failures, breakerFailures), false
	}
	b.last, b.err = now, err
	switch {
	case closed && b.failures >= breakerFailures:
		b.coolDown = firstCoolDown
	case p.probe:
		b.coolDown = min(2*b.coolDown, longestCoolDown)
	default:
		return
	}
	b.until = now.Add(b.coolDown)
}

// brink reports whether one failure more opens it.
func (b *breaker) brink() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures == breakerFailures-1
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
	h := health{asked: b.answered || b.failures+b.vain.count > 0, gone: b.failures >= breakerFailures, since: b.first, last: b.last, failures: b.failures, err: b.err}
	if h.failures == 0 && b.vain.count > 0 {
		h.last, h.failures, h.err = b.vain.last, b.vain.count, b.vain.err
	}
	return h
}
