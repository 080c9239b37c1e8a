package events_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/events"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestDeliveryInOrderAndBatches(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		endpoint := l.endpoint()
		endpoint.Headers = []events.Header{{Name: "Authorization", Value: "Bearer secret"}}
		e := start(t, t.TempDir(), nil, endpoint)
		happen(e, 0, 250)
		synctest.Wait()
		e.Deliver(online)
		synctest.Wait()
		l.has(t, 0, 250)
		if _, envelopes := l.tags(); envelopes != 3 {
			t.Errorf("%d envelopes, want 3", envelopes)
		}
		happen(e, 250, 251)
		synctest.Wait()
		l.has(t, 0, 251)
		if h := l.header; h.Get("Content-Type") != events.MediaType || h.Get("Authorization") != "Bearer secret" || h.Get("User-Agent") != "mirror/test" {
			t.Errorf("headers: %v", h)
		}
		first := l.took[0][0]
		if first.Action != events.Want || first.Target.Repository != "library/app" || first.ID == "" || first.ID == l.took[0][1].ID ||
			!first.Timestamp.Equal(time.Now()) || first.Source.Addr != "mirror.test:5000" || first.Source.InstanceID == "" {
			t.Errorf("an event is %+v", first)
		}
		if s := statusOf(t, e); s.Waiting != 0 || s.Bytes != 0 || s.Queued != 251 || s.Delivered != 251 || s.Error != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestFailedDeliveriesAreRetried checks that retries have growing intervals, never end, and keep the order of events.
func TestFailedDeliveriesAreRetried(t *testing.T) {
	for name, code := range map[string]int{"failing": 500, "unauthorized": 401, "redirect": 302, "not found": 404} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			inTime(t, func(t *testing.T) {
				l.answers(func(w http.ResponseWriter, _ *http.Request, _ []events.Event) {
					w.Header().Set("Location", l.URL+"/elsewhere")
					w.WriteHeader(code)
				})
				e := start(t, t.TempDir(), online, l.endpoint())
				happen(e, 0, 3)
				time.Sleep(10 * time.Second)
				soon := l.requests()
				time.Sleep(24 * time.Hour)
				day := l.requests()
				if soon < 3 || soon > 5 || day < 24*10 || day > 24*17 {
					t.Errorf("%d attempts in ten seconds, %d in a day", soon, day)
				}
				if s := statusOf(t, e); s.Waiting != 3 || s.Failed != uint64(day) || !strings.Contains(s.Error, "the endpoint answered") || time.Since(s.Since) < 24*time.Hour {
					t.Errorf("%+v", s)
				}
				l.answers(nil)
				happen(e, 3, 5)
				time.Sleep(6 * time.Minute)
				l.has(t, 0, 5)
				if s := statusOf(t, e); s.Waiting != 0 || s.Error != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestRetryAfterIsRespected checks that the wait is the Retry-After of the endpoint, within limits.
func TestRetryAfterIsRespected(t *testing.T) {
	for header, want := range map[string]time.Duration{"120": 2 * time.Minute, "31536000": 15 * time.Minute, "nonsense": time.Second} {
		l := newListener(t)
		inTime(t, func(t *testing.T) {
			l.answers(func(w http.ResponseWriter, _ *http.Request, _ []events.Event) {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(429)
				l.answers(nil)
			})
			e := start(t, t.TempDir(), online, l.endpoint())
			happen(e, 0, 1)
			time.Sleep(want * 3 / 4)
			l.has(t, 0, 0)
			time.Sleep(want / 2)
			l.has(t, 0, 1)
		})
	}
}

// TestRefusedEventsDoNotBlockOthers: an event that the endpoint refuses, alone or in a batch, is dropped in the end.
func TestRefusedEventsDoNotBlockOthers(t *testing.T) {
	for _, code := range []int{400, 413, 422} {
		l := newListener(t)
		inTime(t, func(t *testing.T) {
			l.answers(func(w http.ResponseWriter, _ *http.Request, got []events.Event) {
				for _, e := range got {
					if e.Target.Tag == tag(1) {
						w.WriteHeader(code)
					}
				}
			})
			e := start(t, t.TempDir(), nil, l.endpoint())
			happen(e, 0, 5)
			synctest.Wait()
			e.Deliver(online)
			time.Sleep(time.Minute)
			if got, _ := l.tags(); strings.Join(got, " ") != "v0 v2 v3 v4" {
				t.Errorf("status %d: received %s", code, got)
			}
			if s := statusOf(t, e); s.Waiting != 0 || s.Dropped[events.Refused] != 1 || s.Delivered != 4 || l.requests() != 1+1+5+3 {
				t.Errorf("%d: %d requests, %+v", code, l.requests(), s)
			}
		})
	}
}

// TestOfflineMirrorDialsNoEndpoint checks that an offline mirror dials only endpoints on the local network.
func TestOfflineMirrorDialsNoEndpoint(t *testing.T) {
	beyond, here := newListener(t), newListener(t)
	inTime(t, func(t *testing.T) {
		m := open(t, proxy.Options{Mode: mirror.Offline})
		local := here.endpoint()
		local.Name, local.Offline = "here", true
		e := start(t, t.TempDir(), m.NetworkContext, beyond.endpoint(), local)
		happen(e, 0, 3)
		time.Sleep(time.Hour)
		beyond.has(t, 0, 0)
		here.has(t, 0, 3)
		must(t, m.SetMode(t.Context(), mirror.Auto))
		synctest.Wait() // no time passes
		beyond.has(t, 0, 3)
		must(t, m.SetMode(t.Context(), mirror.Offline))
		happen(e, 3, 4)
		time.Sleep(time.Hour)
		beyond.has(t, 0, 3)
		if n := beyond.requests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestGoingOfflineInterruptsDeliveries: interrupted events are sent again later, and the interruption is not counted as
// a failure.
func TestGoingOfflineInterruptsDeliveries(t *testing.T) {
	l := newListener(t)
	began := make(chan struct{}, 1)
	l.answers(func(_ http.ResponseWriter, r *http.Request, _ []events.Event) {
		began <- struct{}{}
		<-r.Context().Done()
	})
	m := open(t, proxy.Options{})
	e := start(t, t.TempDir(), m.NetworkContext, l.endpoint())
	happen(e, 0, 1)
	<-began
	l.answers(nil)
	must(t, m.SetMode(t.Context(), mirror.Offline))
	if s := statusOf(t, e); s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
	must(t, m.SetMode(t.Context(), mirror.Online))
	eventually(t, func() bool { return statusOf(t, e).Delivered == 1 })
	if s := statusOf(t, e); s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTimeoutIsAFailure(t *testing.T) {
	l := newListener(t)
	l.answers(func(w http.ResponseWriter, r *http.Request, _ []events.Event) {
		w.WriteHeader(500)
		<-r.Context().Done()
	})
	endpoint := l.endpoint()
	endpoint.Timeout = 50 * time.Millisecond
	e := start(t, t.TempDir(), online, endpoint)
	happen(e, 0, 1)
	eventually(t, func() bool { return statusOf(t, e).Failed > 0 })
	if s := statusOf(t, e); s.Waiting != 1 || !strings.Contains(s.Error, "did not answer in time") {
		t.Errorf("%+v", s)
	}
}

// eventually waits for a condition that other goroutines fulfil.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the condition was not met in time")
		}
	}
}
