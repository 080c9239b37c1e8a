package upstream_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// openBreaker sends requests until the breaker opens: connections are refused.
func openBreaker(t *testing.T, n *memoryNetwork, c *upstream.Client) {
	t.Helper()
	n.fail("registry.test", syscall.ECONNREFUSED)
	for range 3 {
		wantError(t, fetch(t, c), mirror.CodeUnavailable, "registry.test does not answer")
		<-time.After(time.Second)
	}
}

// TestBreakerOpens checks that after three failures errors come at once and nothing is dialled, except for one probe at
// a time.
func TestBreakerOpens(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveIndex))
		c := n.client(upstream.Options{})
		openBreaker(t, n, c)
		dialled := n.dialled()
		wantAtOnce(t, c, "no request was sent to registry.test: it is down; next attempt at", "connection refused")
		if n.dialled() != dialled {
			t.Error("it was dialled")
		}
		<-time.After(10 * time.Second)
		if err := fetch(t, c); mirror.CodeOf(err) != mirror.CodeUnavailable || n.dialled() != dialled+1 {
			t.Errorf("the probe: %v", err)
		}
		<-time.After(15 * time.Second) // its cool-down is longer than the first one
		wantAtOnce(t, c, "it is down; next attempt at")
		n.fail("registry.test", nil)
		<-time.After(5 * time.Second)
		for range 3 {
			if err := fetch(t, c); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestTimeoutsOpenTheBreaker has an endpoint whose /v2/ times out as well, which is down at once, and one whose /v2/
// answers, which is not.
func TestTimeoutsOpenTheBreaker(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		var silent, pings atomic.Bool
		silent.Store(true)
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if silent.Load() && !(pings.Load() && r.URL.Path == "/v2/") {
				<-r.Context().Done()
			}
			serveIndex(w, r)
		}))
		c := n.client(upstream.Options{Timeout: 5 * time.Second})
		if d := took(func() { wantError(t, fetch(t, c), mirror.CodeUnavailable, "no answer within 5s") }); d != 5*time.Second {
			t.Errorf("duration is %v", d)
		}
		wantAtOnce(t, c, "it is down; next attempt at")
		silent.Store(false)
		<-time.After(10 * time.Second)
		if err := fetch(t, c); err != nil {
			t.Fatal(err)
		}
		silent.Store(true)
		pings.Store(true)
		for range 2 {
			wantError(t, fetch(t, c), mirror.CodeUnavailable, "no answer within 20s")
		}
		if c.Status()[0].Down {
			t.Error("it is down")
		}
	})
}

// TestProbeIntervals checks that the time between probes grows to one minute.
func TestProbeIntervals(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveIndex))
		c := n.client(upstream.Options{})
		openBreaker(t, n, c)
		dialled := n.dialled()
		for range 3600 {
			<-time.After(time.Second)
			_ = fetch(t, c)
		}
		if probes := n.dialled() - dialled; probes < 55 || probes > 65 {
			t.Errorf("%d probes in an hour", probes)
		}
	})
}

// TestOneProbe checks that other requests fail at once while a probe hangs.
func TestOneProbe(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		c := n.client(upstream.Options{Timeout: 5 * time.Second})
		openBreaker(t, n, c)
		n.fail("registry.test", nil)
		<-time.After(10 * time.Second)
		var probe sync.WaitGroup
		probe.Go(func() { wantError(t, fetch(t, c), mirror.CodeUnavailable, "does not answer") })
		synctest.Wait()
		wantAtOnce(t, c, "it is down; next attempt at")
		probe.Wait()
		wantAtOnce(t, c, "it is down; next attempt at")
	})
}

// TestCanceledProbe checks that a canceled probe says nothing about the upstream and that the next request probes.
func TestCanceledProbe(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pass(r, 2*time.Second) }))
		c := n.client(upstream.Options{})
		openBreaker(t, n, c)
		n.fail("registry.test", nil)
		<-time.After(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Manifest(ctx, appTag); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first probe: %v", err)
		}
		if d := took(func() { _ = fetch(t, c) }); d == 0 {
			t.Error("there is no probe")
		}
	})
}

// TestStatusShowsFailuresBelowTheLimit checks that the status shows requests and failures of an upstream that is not
// down.
func TestStatusShowsFailuresBelowTheLimit(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"500": page(500), "a web page": page(200), "429": slowDown} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", play(answer, answer, open(serveIndex).ServeHTTP))
				c := n.client(upstream.Options{})
				if got := c.Status()[0]; got.Asked {
					t.Errorf("at first: %+v", got)
				}
				err := fetch(t, c)
				if got := c.Status()[0]; !got.Asked || got.Down || got.Failures == 0 || got.Error != err.Error() {
					t.Errorf("after %v: %+v", err, got)
				}
				for range 2 {
					<-time.After(time.Minute)
					err = fetch(t, c)
				}
				if got := c.Status()[0]; err != nil || !got.Asked || got.Failures != 0 || got.Error != "" {
					t.Errorf("after %v: %+v", err, got)
				}
			})
		})
	}
}

// TestConcurrentFailuresCountOnce has many concurrent requests fail, which is no reason to request /v2/.
func TestConcurrentFailuresCountOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		seen := &requestLog{}
		n.serve("registry.test", seen.wrap(open(func(w http.ResponseWriter, r *http.Request) {
			pass(r, time.Second)
			w.WriteHeader(http.StatusInternalServerError)
		})))
		c := n.client(upstream.Options{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _ = fetch(t, c) })
		}
		all.Wait()
		if s := c.Status()[0]; s.Down || s.Failures != 1 {
			t.Errorf("status is %+v", s)
		}
		if asked, pings := seen.count("/v2/org/app/manifests/v1"), seen.count("/v2/"); asked != 20 || pings != 0 {
			t.Errorf("%d requests, and /v2/ got %d requests", asked, pings)
		}
	})
}

// TestAnswersKeepTheBreakerClosed has responses of the registry itself and web pages of others: neither opens the
// breaker. The status shows those that say nothing about the content.
func TestAnswersKeepTheBreakerClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   http.HandlerFunc
		failures int
	}{
		"404":        {status(404, "MANIFEST_UNKNOWN", ""), 0},
		"401":        {status(401, "UNAUTHORIZED", ""), 0},
		"403":        {status(403, "DENIED", ""), 0},
		"429":        {slowDown, 5},
		"a web page": {page(200), 5},
		"501":        {status(501, "UNSUPPORTED", ""), 5},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(tt.answer)
				n.serve("registry.test", s)
				c := n.client(upstream.Options{})
				for range 5 {
					before := len(s.lines())
					if err := fetch(t, c); err == nil || len(s.lines()) == before {
						t.Errorf("no request was sent: %v", err)
					}
				}
				if got := c.Status()[0]; got.Down || got.Failures != tt.failures {
					t.Errorf("status is %+v", got)
				}
			})
		})
	}
}

// TestBypassBreaker sends a request though the breaker is open.
func TestBypassBreaker(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveIndex))
		c := n.client(upstream.Options{})
		openBreaker(t, n, c)
		n.fail("registry.test", nil)
		wantAtOnce(t, c, "it is down; next attempt at")
		if _, err := c.Manifest(mirror.BypassBreaker(t.Context()), appTag); err != nil {
			t.Error(err)
		}
		if err := fetch(t, c); err != nil { // and an answer lets everybody in
			t.Error(err)
		}
	})
}

// TestHealth checks the status of an upstream that fails and recovers.
func TestHealth(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", open(serveIndex))
		c := n.client(upstream.Options{})
		if got := c.Status()[0]; got.Host != "registry.test" || strings.Join(got.URLs, " ") != "http://registry.test" || got.Down || got.Error != "" {
			t.Errorf("at first: %+v", got)
		}
		begun := time.Now().Truncate(time.Second)
		openBreaker(t, n, c)
		if got := c.Status()[0]; !got.Down || !got.Since.Equal(begun) || got.Failures != 3 || !strings.Contains(got.Error, "connection refused") {
			t.Errorf("down: %+v", got)
		}
		n.fail("registry.test", nil)
		<-time.After(time.Minute)
		_ = fetch(t, c)
		if got := c.Status()[0]; got.Down || !got.Since.IsZero() || got.Failures != 0 || got.Error != "" {
			t.Errorf("back: %+v", got)
		}
	})
}

// TestNoSuchHost has a host name that cannot be resolved.
func TestNoSuchHost(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.fail("registry.test", &net.DNSError{Err: "no such host", Name: "registry.test", IsNotFound: true})
		c := n.client(upstream.Options{})
		for range 3 {
			wantError(t, fetch(t, c), mirror.CodeUnavailable, "registry.test does not answer", "no such host")
		}
		wantAtOnce(t, c, "it is down; next attempt at")
	})
}

// TestTransferSurvivesAnOutage interrupts a transfer by an outage of the upstream; it is resumed afterwards.
func TestTransferSurvivesAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(func(w http.ResponseWriter, r *http.Request) {
			n.fail("registry.test", syscall.EHOSTUNREACH)
			time.AfterFunc(2*time.Minute, func() { n.fail("registry.test", nil) })
			piece(5000)(w, r)
		}, piece(len(large)))
		n.serve("registry.test", s)
		if d := took(func() { wantLarge(t, n.client(upstream.Options{})) }); d < 2*time.Minute || d > 190*time.Second {
			t.Errorf("duration is %v", d)
		}
		if dials := n.dialled(); dials > 15 {
			t.Errorf("%d dials", dials)
		}
	})
}
