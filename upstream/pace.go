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
	holdUntold    = 10 * time.Second // after a 429 that does not say for how long
	longestHold   = time.Hour        // whatever a Retry-After says
	nearZero      = 10               // requests that remain, where no limit is told; else a tenth of the limit
	longestGap    = 2 * time.Second  // between requests while the last ones remain
	remainingGoes = time.Minute      // after which a count of remaining requests is forgotten
)

// pace is a rate limit. It keeps a part of an endpoint, or a host that it leads to, from being asked more than it wants. After a 429, or a 503 with a Retry-After, it is not asked
// before that has passed. Where it tells that fewer than a tenth of the requests remain that it grants, they go out
// one by one, with gaps that grow up to [longestGap] as they run out. The zero value is ready.
type pace struct {
	mu    sync.Mutex
	until time.Time     // not asked before
	gap   time.Duration // between requests
	told  time.Time     // when gap was found
	next  time.Time     // no request before, if there is a gap
	// counted tells that the endpoint counts these requests in a budget that it grants.
	counted bool
}

// held returns why the endpoint is not asked now, or nil.
func (p *pace) held() *notAskedError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now().Before(p.until) {
		return &notAskedError{why: "it is rate-limited", until: p.until}
	}
	return nil
}

// wait waits until the endpoint may be asked, or returns at once if that is after deadline.
func (p *pace) wait(ctx context.Context, deadline time.Time) error {
	at, err := p.slot(deadline)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(at)); err != nil {
		return err
	}
	if held := p.held(); held != nil { // since then
		return held
	}
	return nil
}

// slot returns when the next request may go out.
func (p *pace) slot(deadline time.Time) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := now()
	at := begun
	if p.until.After(begun) {
		if p.until.After(deadline) {
			return at, &notAskedError{why: "it is rate-limited", until: p.until}
		}
		at = p.until.Add(jitter(100 * time.Millisecond))
	}
	if p.gap == 0 || begun.Sub(p.told) > remainingGoes {
		return at, nil
	}
	if p.next.After(at) {
		at = p.next
	}
	if at.After(deadline) {
		return at, &notAskedError{why: "it grants few further requests, which go out one by one; this one has no turn", until: at}
	}
	p.next = at.Add(p.gap)
	return at, nil
}

// note reads for how long an answer wants nothing to be asked.
func (p *pace) note(resp *http.Response) {
	arrived := now()
	wait, told := retryAfter(resp.Header, arrived)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && !told:
		wait = holdUntold
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && told:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := arrived.Add(min(wait, longestHold)); until.After(p.until) {
		p.until = until
	}
}

// noteRemaining reads how many requests remain, and reports whether the answer says it.
func (p *pace) noteRemaining(resp *http.Response) bool {
	remaining, limit, ok := remaining(resp.Header)
	if ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gap, p.told = gapFor(remaining, limit), now()
	}
	return ok
}

func (p *pace) setCounted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counted = true
}

func (p *pace) isCounted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counted
}

// gapFor is the pause between requests of which so many remain.
func gapFor(remaining, limit int) time.Duration {
	few := nearZero
	if limit > 0 {
		few = max(1, limit/10)
	}
	if remaining >= few {
		return 0
	}
	return longestGap * time.Duration(few-remaining) / time.Duration(few)
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
		if remaining, ok = count(h.Get(prefix + "Remaining")); ok {
			limit, _ = count(h.Get(prefix + "Limit"))
			return remaining, limit, true
		}
	}
	return 0, 0, false
}

func count(s string) (int, bool) {
	s, _, _ = strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n, err == nil && n >= 0
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration { return rand.N(d) }
