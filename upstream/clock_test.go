package upstream

import (
	"fmt"
	"net/http"
	"testing"
	"time"
	"unsafe"

	"airmirror/mirror"
)

// jumpingClock is a clock whose wall clock can jump.
type jumpingClock struct {
	begun time.Time
	since time.Duration
	wall  time.Duration // the jump of the wall clock, in whole seconds
}

func useJumpy(t *testing.T) *jumpingClock {
	c := &jumpingClock{begun: time.Now()}
	now = c.now
	t.Cleanup(func() { now = time.Now })
	return c
}

// now returns a time whose wall clock and monotonic clock differ, as after the clock was set. Package time cannot make such
// a time: now uses the documented layout of the field wall, which has the seconds from bit 30 on.
func (c *jumpingClock) now() time.Time {
	at := c.begun.Add(c.since)
	*(*uint64)(unsafe.Pointer(&at)) += uint64(c.wall/time.Second) << 30
	return at
}

func TestJumpy(t *testing.T) {
	c := useJumpy(t)
	before := now()
	c.wall = -time.Hour
	if after := now(); after.Unix()-before.Unix() != -3600 || after.Sub(before) != 0 {
		t.Fatalf("the wall moved by %d seconds, the clock by %v", after.Unix()-before.Unix(), after.Sub(before))
	}
}

const wallJump = 400 * 24 * time.Hour

// TestWallClockJumps checks that setting the wall clock neither extends nor ends a wait.
func TestWallClockJumps(t *testing.T) {
	limit := func(h http.Header) *http.Response { return &http.Response{StatusCode: 429, Header: h} }
	date := func(at time.Time) []string { return []string{at.UTC().Format(http.TimeFormat)} }
	// Each begins to wait, and returns whether it still does.
	for name, begin := range map[string]func(t *testing.T, c *jumpingClock) func() bool{
		"circuit breaker": func(t *testing.T, c *jumpingClock) func() bool {
			var b breaker
			for range maxFailures {
				b.report(permit{begun: now()}, outcomeFailure, timeoutError(0))
			}
			for range 3 { // until the cool-down is the longest
				c.since += maxCoolDown
				probe, err := b.allow(t.Context(), "")
				if err != nil || !probe.probe {
					t.Fatalf("no probe: %v", err)
				}
				b.report(probe, outcomeFailure, timeoutError(0))
			}
			return func() bool {
				_, err := b.allow(t.Context(), "")
				return err != nil
			}
		},
		"seconds": func(*testing.T, *jumpingClock) func() bool {
			var p throttle
			p.recordLimit(limit(http.Header{"Retry-After": {"60"}}))
			return func() bool { return p.blocked() != nil }
		},
		"a date": func(*testing.T, *jumpingClock) func() bool {
			var p throttle
			p.recordLimit(limit(http.Header{"Retry-After": date(now().Add(time.Minute + time.Second/2))}))
			return func() bool { return p.blocked() != nil }
		},
		"a date by a clock that is wrong": func(*testing.T, *jumpingClock) func() bool {
			var p throttle
			theirs := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
			p.recordLimit(limit(http.Header{"Date": date(theirs), "Retry-After": date(theirs.Add(time.Minute))}))
			return func() bool { return p.blocked() != nil }
		},
		"a timestamp by a clock that is wrong": func(*testing.T, *jumpingClock) func() bool {
			var p throttle
			theirs := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
			p.recordLimit(limit(http.Header{"Date": date(theirs), "Retry-After": {fmt.Sprint(theirs.Unix() + 60)}}))
			return func() bool { return p.blocked() != nil }
		},
		"the last requests": func(*testing.T, *jumpingClock) func() bool {
			var p throttle
			p.recordRemaining(limit(http.Header{"Ratelimit-Remaining": {"0"}, "Ratelimit-Limit": {"100"}}))
			return func() bool { // the remaining requests are known for a minute
				_, err1 := p.reserve(now())
				_, err2 := p.reserve(now())
				return err1 != nil || err2 != nil
			}
		},
	} {
		for _, jump := range []time.Duration{0, wallJump, -wallJump} {
			t.Run(fmt.Sprintf("%s, %v", name, jump), func(t *testing.T) {
				c := useJumpy(t)
				waits := begin(t, c)
				begun := c.since
				c.wall = jump
				for _, since := range []time.Duration{0, 58 * time.Second} {
					if c.since = begun + since; !waits() {
						t.Errorf("it ended after %v", since)
					}
				}
				if c.since = begun + 62*time.Second; waits() {
					t.Error("it is still waiting")
				}
			})
		}
	}
}

// TestFailuresAcrossAJump checks that the wall clock does not decide which failures are consecutive.
func TestFailuresAcrossAJump(t *testing.T) {
	for _, jump := range []time.Duration{wallJump, -wallJump} {
		c, b := useJumpy(t), breaker{}
		silent := mirror.Errorf(mirror.CodeUnavailable, "silence")
		for i := range maxFailures {
			c.since += time.Second
			c.wall += jump / 4
			p := permit{begun: now()}
			c.since += time.Second
			b.report(p, outcomeFailure, silent)
			if h := b.health(); h.failures != i+1 || h.down != (i+1 == maxFailures) {
				t.Errorf("jump by %v: after %d failures it is %+v", jump, i+1, h)
			}
		}
	}
}
