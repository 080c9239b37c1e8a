package upstream

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultPause = 10 * time.Second // after a 429 that does not say for how long
	maxPause     = time.Hour        // whatever a Retry-After says
	lowRemaining = 10               // requests that remain, where no limit is told; else a tenth of the limit
	maxInterval  = 2 * time.Second  // between requests while the last ones remain
	remainingTTL = time.Minute      // after which a count of remaining requests is forgotten
)

// pace is a rate limit. It keeps a part of an endpoint, or a host that it leads to, from being asked more than it wants. After a 429, or a 503 with a Retry-After, it is not asked
// before that has passed. Where it tells that fewer than a tenth of the requests remain that it grants, they go out
// one by one, with gaps that grow up to [maxInterval] as they run out. The zero value is ready.
type throttle struct {
	mu       sync.Mutex
	until    time.Time     // not asked before
	interval time.Duration // between requests
	measured time.Time     // when gap was found
	next     time.Time     // no request before, if there is a gap
	// counted tells that the endpoint counts these requests in a budget that it grants.
	budgeted bool
}

// held returns why the endpoint is not asked now, or nil.
func (p *throttle) blocked() *notSentError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now().Before(p.until) {
		return &notSentError{why: "it is rate-limited", until: p.until}
	}
	return nil
}

// wait waits until the endpoint may be asked, or returns at once if that is after deadline.
func (p *throttle) wait(ctx context.Context, deadline time.Time) error {
	at, err := p.reserve(deadline)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(at)); err != nil {
		return err
	}
	if blocked := p.blocked(); blocked != nil { // since then
		return blocked
	}
	return nil
}

// slot returns when the next request may go out.
func (p *throttle) reserve(deadline time.Time) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := now()
	at := begun
	if p.until.After(begun) {
		if p.until.After(deadline) {
			return at, &notSentError{why: "it is rate-limited", until: p.until}
		}
		at = p.until.Add(jitter(100 * time.Millisecond))
	}
	if p.interval == 0 || begun.Sub(p.measured) > remainingTTL {
		return at, nil
	}
	if p.next.After(at) {
		at = p.next
	}
	if at.After(deadline) {
		return at, &notSentError{why: "it grants few further requests, which go out one by one; this one has no turn", until: at}
	}
	p.next = at.Add(p.interval)
	return at, nil
}

// note reads for how long an answer wants nothing to be asked.
func (p *throttle) recordLimit(resp *http.Response) {
	arrived := now()
	wait, told := retryAfter(resp.Header, arrived)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && !told:
		wait = defaultPause
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && told:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := arrived.Add(min(wait, maxPause)); until.After(p.until) {
		p.until = until
	}
}

// recordRemaining reads how many requests remain, and reports whether the answer says it.
func (p *throttle) recordRemaining(resp *http.Response) bool {
	remaining, limit, ok := remaining(resp.Header)
	if ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.interval, p.measured = intervalFor(remaining, limit), now()
	}
	return ok
}

func (p *throttle) setBudgeted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budgeted = true
}

func (p *throttle) isBudgeted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.budgeted
}

// intervalFor is the pause between requests of which so many remain.
func intervalFor(remaining, limit int) time.Duration {
	few := lowRemaining
	if limit > 0 {
		few = max(1, limit/10)
	}
	if remaining >= few {
		return 0
	}
	return maxInterval * time.Duration(few-remaining) / time.Duration(few)
}

// retryAfter reads for how long not to ask: seconds, a date or, as Docker Hub has it, seconds of Unix time. A point in
// time is one by the clock of whoever says it, if that tells what it is.
func retryAfter(h http.Header, arrived time.Time) (time.Duration, bool) {
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		arrived = theirs
	}
	s := h.Get("Retry-After")
	if s == "" {
		s = h.Get("X-Retry-After")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n > 1e9:
			return max(0, time.Unix(n, 0).Sub(arrived)), true
		case n >= 0:
			return time.Duration(n) * time.Second, true
		}
		return 0, false
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(arrived)), true
	}
	return 0, false
}

// remaining reads how many requests remain, and of how many; limit is 0 if that is not said. Docker Hub has
// "ratelimit-remaining: 76;w=21600".
func remaining(h http.Header) (remaining, limit int, ok bool) {
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-"} {
		if remaining, ok = parseCount(h.Get(prefix + "Remaining")); ok {
			limit, _ = parseCount(h.Get(prefix + "Limit"))
			return remaining, limit, true
		}
	}
	return 0, 0, false
}

func parseCount(s string) (int, bool) {
	s, _, _ = strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n, err == nil && n >= 0
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration { return rand.N(d) }
