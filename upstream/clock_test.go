package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWaitingIsMonotonic: what is waited for is a time with a monotonic reading, so that a wall clock that jumps neither
// prolongs nor ends it.
func TestWaitingIsMonotonic(t *testing.T) {
	var b breaker
	for range breakerFailures {
		b.leave(passage{begun: time.Now()}, fails, timeoutError(0))
	}
	var seconds, date pace
	seconds.note(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"60"}}})
	date.note(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}})
	for name, until := range map[string]time.Time{"circuit breaker": b.until, "seconds": seconds.until, "date": date.until} {
		if until.Before(time.Now()) || !strings.Contains(until.String(), " m=+") {
			t.Errorf("%s: %s has no monotonic reading", name, until)
		}
	}
}
