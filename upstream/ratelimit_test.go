package upstream_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// limited returns a handler that sends a 429 with this Retry-After, if it is not empty.
func limited(retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		status(http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")(w, r)
	}
}

// TestRetryAfter checks that no request is sent before the Retry-After has passed, and that callers do not wait for it.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // in a bubble
	for name, test := range map[string]struct {
		retryAfter string
		wait       time.Duration
	}{
		"seconds":   {"60", time.Minute},
		"date":      {now.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		"timestamp": {fmt.Sprint(1 + max(1e9, now.Unix())), 15 * time.Minute}, // further off than it looks, see below
		"nothing":   {"", 10 * time.Second},
		"nonsense":  {"soon", 10 * time.Second},
		"too long":  {"1000000", time.Hour},
		"for ever":  {"999999999", time.Hour},
		"negative":  {"-5", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				if name == "timestamp" { // a timestamp is a large number, and the fake clock begins in 2000
					<-time.After(time.Until(time.Unix(1e9+1, 0).Add(-test.wait)))
				}
				s := play(limited(test.retryAfter), serveIndex)
				n.serve("registry.test", s)
				c := n.client(upstream.Options{})
				wantError(t, fetch(t, c), mirror.CodeUnavailable, "upstream registry.test limits the rate of requests", "slow down")
				wantAtOnce(t, c, "no request was sent to registry.test: its rate limit is reached; next attempt at")
				if got := c.Status()[0]; got.Down || !strings.Contains(got.Error, "its rate limit is reached") {
					t.Errorf("status is %+v", got)
				}
				<-time.After(test.wait - 6*time.Second)
				wantAtOnce(t, c, "its rate limit is reached; next attempt at")
				<-time.After(6 * time.Second)
				if err := fetch(t, c); err != nil {
					t.Error(err)
				}
				if len(s.lines()) != 2 {
					t.Errorf("requests were %v", s.lines())
				}
			})
		})
	}
}

// TestShortRetryAfter checks that callers wait for a Retry-After that fits into the timeout.
func TestShortRetryAfter(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(limited("2"), serveIndex))
		d := took(func() {
			if err := fetch(t, n.client(upstream.Options{})); err != nil {
				t.Error(err)
			}
		})
		if d < 2*time.Second || d > 3*time.Second {
			t.Errorf("duration is %v", d)
		}
	})
}

// TestBypassingTheBreakerObeysRateLimits sends a request that bypasses the breaker.
func TestBypassingTheBreakerObeysRateLimits(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(limited("60"), serveIndex))
		c := n.client(upstream.Options{})
		_ = fetch(t, c)
		_, err := c.Manifest(mirror.BypassBreaker(t.Context()), appTag)
		wantError(t, err, mirror.CodeUnavailable, "its rate limit is reached")
	})
}

// TestTransferWaits checks that a transfer which has begun waits for a rate limit.
func TestTransferWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(piece(5000), limited("120"), piece(len(large)))
		n.serve("registry.test", s)
		if d := took(func() { wantLarge(t, n.client(upstream.Options{})) }); d < 2*time.Minute || d > 125*time.Second {
			t.Errorf("duration is %v", d)
		}
		if len(s.lines()) != 3 {
			t.Errorf("requests were %v", s.lines())
		}
	})
}

// TestUnavailableForAWhile has a 503 with a Retry-After.
func TestUnavailableForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, serveIndex)
		n.serve("registry.test", s)
		c := n.client(upstream.Options{})
		wantError(t, fetch(t, c), mirror.CodeUnavailable, "503")
		wantAtOnce(t, c, "its rate limit is reached; next attempt at")
		if len(s.lines()) != 1 {
			t.Errorf("requests were %v", s.lines())
		}
	})
}

// TestSignInIsLimited has a ping and a token service with rate limits.
func TestSignInIsLimited(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", limited("60"))
		c := n.client(upstream.Options{})
		wantError(t, fetch(t, c), mirror.CodeUnavailable, "slow down")
		wantAtOnce(t, c, "its rate limit is reached; next attempt at")
	})
}

// TestFewRequestsRemain checks that requests are spaced out once few of them remain.
func TestFewRequestsRemain(t *testing.T) {
	for remaining, want := range map[string]time.Duration{
		"76;w=21600": 0, "10;w=21600": 0, "5;w=21600": 10 * time.Second, "0;w=21600": 20 * time.Second,
	} {
		t.Run(remaining, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("RateLimit-Limit", "100;w=21600")
					w.Header().Set("RateLimit-Remaining", remaining)
					serveIndex(w, r)
				}))
				c := n.client(upstream.Options{})
				d := took(func() {
					for range 12 {
						if err := fetch(t, c); err != nil {
							t.Error(err)
						}
					}
				})
				if d != want {
					t.Errorf("12 requests took %v, want %v", d, want)
				}
				<-time.After(2 * time.Minute) // and it is forgotten
				if d := took(func() { _ = fetch(t, c) }); d != 0 {
					t.Errorf("the duration after a while is %v", d)
				}
			})
		})
	}
}

// TestRequestsPerSecond checks that the configured limit spreads requests, and fails those that would wait too long.
func TestRequestsPerSecond(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveIndex))
		config := at("http://registry.test")
		config.RequestsPerSecond, config.Burst = 0.5, 2
		c := n.configured(upstream.Options{}, config)
		for i, want := range []time.Duration{0, 0, 2 * time.Second, 2 * time.Second} {
			if d := took(func() { _ = fetch(t, c) }); d != want {
				t.Errorf("request %d took %v, want %v", i, d, want)
			}
		}
		config.RequestsPerSecond, config.Burst = 0.1, 0
		c = n.configured(upstream.Options{}, config)
		_ = fetch(t, c)
		wantAtOnce(t, c, "no request was sent to registry.test: the configured limit of 0.1 requests per second is reached")
	})
}

// TestParallel checks that transfers beyond the limit wait as long as their callers do.
func TestParallel(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveBlob))
		config := at("http://registry.test")
		config.Parallel = 1
		c := n.configured(upstream.Options{}, config)
		first, _, err := c.Blob(t.Context(), app, blobSHA)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() {
			_ = first.Close()
			_ = first.Close() // gives one place only
		})
		if d := took(func() { wantBlob(t, c, int64(len(blob))) }); d != time.Hour {
			t.Errorf("the second transfer took %v", d)
		}
		wantBlob(t, c, int64(len(blob)))
	})
}
