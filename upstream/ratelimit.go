package upstream

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"airmirror/mirror"
)

const (
	defaultPause = 10 * time.Second // after a 429 without a Retry-After
	maxPause     = time.Hour        // whatever a Retry-After says
	lowRemaining = 10               // remaining requests, where no limit is known; otherwise a tenth of the limit
	maxInterval  = 2 * time.Second  // between the last remaining requests
	remainingTTL = time.Minute      // after which a number of remaining requests is forgotten
)

// throttle keeps requests within the rate limit of an endpoint or of another host. After a 429, or a 503 with a
// Retry-After, it sends none until that time has passed. Where responses say that less than a tenth of the granted
// requests remain, it spaces requests out, by an interval that grows up to [maxInterval] as they run out. The zero value is
// ready. It is safe for concurrent use.
type throttle struct {
	mu       sync.Mutex
	until    time.Time     // no request before
	interval time.Duration // between requests; 0 for none
	measured time.Time     // when interval was computed
	next     time.Time     // no request before, if there is an interval
	budgeted bool          // responses report the remaining requests of a shared budget
}

// blocked returns the reason why no request may be sent now, or nil.
func (t *throttle) blocked() *notSentError {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now().Before(t.until) {
		return rateLimited(t.until)
	}
	return nil
}

func rateLimited(until time.Time) *notSentError {
	return &notSentError{why: "its rate limit is reached", until: until}
}

// wait waits until a request may be sent. It fails at once if that is after deadline.
func (t *throttle) wait(ctx context.Context, deadline time.Time) error {
	at, err := t.reserve(deadline)
	if err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(at)); err != nil {
		return err
	}
	if blocked := t.blocked(); blocked != nil { // by a response that arrived meanwhile
		return blocked
	}
	return nil
}

// reserve returns when the next request may be sent.
func (t *throttle) reserve(deadline time.Time) (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun := now()
	at := begun
	if t.until.After(begun) {
		if t.until.After(deadline) {
			return at, rateLimited(t.until)
		}
		at = t.until.Add(jitter(100 * time.Millisecond))
	}
	if t.interval == 0 || begun.Sub(t.measured) > remainingTTL {
		return at, nil
	}
	if t.next.After(at) {
		at = t.next
	}
	if at.After(deadline) {
		return at, &notSentError{why: "few requests remain of its rate limit, and they are spaced out", until: at}
	}
	t.next = at.Add(t.interval)
	return at, nil
}

// recordLimit blocks requests for as long as a 429 or 503 says.
func (t *throttle) recordLimit(resp *http.Response) {
	received := now()
	pause, given := mirror.RetryAfter(resp.Header, received)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && !given:
		pause = defaultPause
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && given:
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := received.Add(min(pause, maxPause)); until.After(t.until) {
		t.until = until
	}
}

// recordRemaining reads how many requests remain, and reports whether the response says so.
func (t *throttle) recordRemaining(resp *http.Response) bool {
	remaining, limit, ok := remaining(resp.Header)
	if ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.interval, t.measured = intervalFor(remaining, limit), now()
	}
	return ok
}

func (t *throttle) setBudgeted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budgeted = true
}

func (t *throttle) isBudgeted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.budgeted
}

// intervalFor returns the interval between requests for a number of remaining requests.
func intervalFor(remaining, limit int) time.Duration {
	low := lowRemaining
	if limit > 0 {
		low = max(1, limit/10)
	}
	if remaining >= low {
		return 0
	}
	return maxInterval * time.Duration(low-remaining) / time.Duration(low)
}

// remaining returns how many requests remain and the limit, which is 0 if it is unknown. Docker Hub sends
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

// jitter returns a random duration below d.
func jitter(d time.Duration) time.Duration { return rand.N(d) }
