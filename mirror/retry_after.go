package mirror

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter returns how long a server asks its client to wait, from the Retry-After header of a response that was
// received at this time: seconds, a date or, as Docker Hub sends it, seconds of Unix time. A point in time is measured
// from the Date of the response, the server's own clock, if it has one. ok is false without a valid header.
//
// https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func RetryAfter(h http.Header, received time.Time) (wait time.Duration, ok bool) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		received = date
	}
	value := h.Get("Retry-After")
	if value == "" {
		value = h.Get("X-Retry-After")
	}
	const firstTimestamp = 1e9 // a larger number of seconds is Unix time
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		switch {
		case n > firstTimestamp:
			return max(0, time.Unix(n, 0).Sub(received)), true
		case n >= 0:
			return time.Duration(n) * time.Second, true
		}
		return 0, false
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(received)), true
	}
	return 0, false
}

// FormatRetryAfter formats a wait for a Retry-After header: whole seconds, rounded up, at least one.
func FormatRetryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}
