package upstream_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

var other = mirror.Ref{Repo: mirror.Repo{Host: "registry.test", Path: "org/other"}, Tag: "v1"}

// route serves paths with one of the prefixes by its handler, and everything else as a registry whose manifests are all
// the same.
func route(seen *requestLog, answers map[string]http.HandlerFunc) http.Handler {
	return seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for prefix, answer := range answers {
			if strings.HasPrefix(r.Method+" "+r.URL.Path, prefix) {
				answer(w, r)
				return
			}
		}
		switch {
		case strings.Contains(r.URL.Path, "/blobs/"):
			serveBlob(w, r)
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			serveList("", "v1")(w, r)
		default:
			serveIndex(w, r)
		}
	}))
}

func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// wantOtherRepositoryWorks fails the test unless a manifest of another repository is returned at once.
func wantOtherRepositoryWorks(t *testing.T, c *upstream.Client) {
	t.Helper()
	var err error
	if d := took(func() { _, err = c.Manifest(t.Context(), other) }); err != nil || d != 0 {
		t.Errorf("another repository: %v after %v", err, d)
	}
}

// TestOneBadRepository checks that failures of one repository or one kind of request do not affect others, and that
// such requests fail at once after a while.
func TestOneBadRepository(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{"500": page(500), "503": status(503, "UNAVAILABLE", ""), "silence": silent} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				seen := &requestLog{}
				n.serve("registry.test", route(seen, map[string]http.HandlerFunc{"GET /v2/org/app/manifests": bad}))
				c := n.client(upstream.Options{})
				for range 6 {
					wantError(t, fetch(t, c), mirror.CodeUnavailable)
					wantOtherRepositoryWorks(t, c)
				}
				wantAtOnce(t, c, "no request was sent to registry.test: requests for the same content failed repeatedly; next attempt at")
				wantBlob(t, c, int64(len(blob)))
				if tags, err := c.Tags(t.Context(), app); err != nil || len(tags) != 1 {
					t.Errorf("tags: %v", err)
				}
				if c.Status()[0].Down {
					t.Error("the upstream is down")
				}
				before := seen.count("/v2/org/app/manifests/v1")
				<-time.After(time.Minute)
				_ = fetch(t, c)
				if seen.count("/v2/org/app/manifests/v1") == before {
					t.Error("there is no probe")
				}
			})
		})
	}
}

// TestServerErrorsOpenTheBreaker checks that the upstream is down, until it recovers, if /v2/ fails as well.
func TestServerErrorsOpenTheBreaker(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		var broken atomic.Bool
		broken.Store(true)
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				page(500)(w, r)
				return
			}
			serveIndex(w, r)
		}))
		c := n.client(upstream.Options{})
		for range 3 {
			wantError(t, fetch(t, c), mirror.CodeUnavailable, "500")
		}
		wantAtOnce(t, c, "no request was sent to registry.test: it is down")
		broken.Store(false)
		<-time.After(10 * time.Second)
		wantOtherRepositoryWorks(t, c)
	})
}

// TestPingThatAlwaysFails checks that a failing /v2/ is ignored where content is served.
func TestPingThatAlwaysFails(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/other/") {
				serveIndex(w, r)
				return
			}
			page(500)(w, r)
		}))
		c := n.client(upstream.Options{})
		for range 3 {
			_ = fetch(t, c)
		}
		<-time.After(10 * time.Second)
		wantOtherRepositoryWorks(t, c) // and now it is known
		for _, path := range []string{"a", "b", "c", "d"} {
			_, err := c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: "registry.test", Path: path}, Tag: "v1"})
			wantError(t, err, mirror.CodeUnavailable, "500")
		}
		wantOtherRepositoryWorks(t, c)
	})
}

// TestScopeOfRateLimits checks that a 429 blocks requests of its kind and method only.
func TestScopeOfRateLimits(t *testing.T) {
	get := func(c *upstream.Client) error { _, err := c.Manifest(context.Background(), appTag); return err }
	manifest := func(c *upstream.Client) error { _, err := c.Manifest(context.Background(), other); return err }
	head := func(c *upstream.Client) error { _, err := c.Resolve(context.Background(), appTag); return err }
	blobs := func(c *upstream.Client) error {
		body, _, err := c.Blob(context.Background(), app, blobSHA)
		if err == nil {
			_ = body.Close()
		}
		return err
	}
	tags := func(c *upstream.Client) error { _, err := c.Tags(context.Background(), app); return err }
	refs := func(c *upstream.Client) error {
		_, err := c.Referrers(context.Background(), app, indexSHA)
		return err
	}
	type question func(*upstream.Client) error
	for name, test := range map[string]struct {
		limited string
		asked   question
		others  []question
	}{
		"GET of manifests": {"GET /v2/org/app/manifests", get, []question{head, blobs, tags, refs}},
		"HEAD":             {"HEAD /v2/org/app/manifests", head, []question{manifest, blobs, tags, refs}},
		"tags":             {"GET /v2/org/app/tags", tags, []question{manifest, head, blobs, refs}},
		"referrers":        {"GET /v2/org/app/referrers", refs, []question{manifest, head, blobs, tags}},
		"blobs":            {"GET /v2/org/app/blobs", blobs, []question{manifest, head, tags, refs}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", route(&requestLog{}, map[string]http.HandlerFunc{test.limited: limited("3600")}))
				c := n.client(upstream.Options{})
				if err := test.asked(c); err == nil {
					t.Error("it is not limited")
				}
				for i, ask := range test.others {
					if err := ask(c); err != nil {
						t.Errorf("question %d: %v", i, err)
					}
				}
				wantError(t, test.asked(c), mirror.CodeUnavailable, "its rate limit is reached; next attempt at")
			})
		})
	}
}

// TestRedirectTargets checks that failures of the storage behind an endpoint do not affect the endpoint.
func TestRedirectTargets(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"429 for an hour": limited("3600"), "500": page(500), "silence": silent, "gone": nil,
		"503 for a while": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "60"); w.WriteHeader(503) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", route(&requestLog{}, map[string]http.HandlerFunc{
					"GET /v2/org/app/blobs":   redirectTo("http://bad.test/"),
					"GET /v2/org/other/blobs": redirectTo("http://good.test/"),
				}))
				if answer == nil {
					n.fail("bad.test", syscall.ECONNREFUSED)
				} else {
					n.serve("bad.test", answer)
				}
				n.serve("good.test", http.HandlerFunc(serveBlob))
				c := n.client(upstream.Options{})
				_, _, err := c.Blob(t.Context(), app, blobSHA)
				wantError(t, err, mirror.CodeUnavailable)
				if !strings.Contains(err.Error(), "registry.test refers to bad.test, which does not answer: ") && !strings.Contains(err.Error(), "bad.test, which upstream registry.test refers to, ") {
					t.Errorf("%v does not name bad.test", err)
				}
				for range 3 {
					_, _, err := c.Blob(t.Context(), app, blobSHA)
					wantError(t, err, mirror.CodeUnavailable)
				}
				dialled := n.dialled()
				if d := took(func() { _, _, _ = c.Blob(t.Context(), app, blobSHA) }); d != 0 || n.dialled() != dialled {
					t.Errorf("it is requested again, for %v", d)
				}
				wantOtherRepositoryWorks(t, c)
				body, _, err := c.Blob(t.Context(), other.Repo, blobSHA)
				if err != nil {
					t.Fatal(err)
				}
				_ = body.Close()
				if got := c.Status()[0]; got.Down {
					t.Errorf("status is %+v", got)
				}
			})
		})
	}
}

// TestSlowFirstByte checks that a slow response is no failure if /v2/ answers meanwhile.
func TestSlowFirstByte(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		late := func(d time.Duration, then http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { pass(r, d); then(w, r) }
		}
		n.serve("registry.test", route(&requestLog{}, map[string]http.HandlerFunc{
			"GET /v2/org/app/blobs":     late(4*time.Minute, serveBlob),
			"GET /v2/org/app/manifests": late(15*time.Second, serveIndex),
			"GET /v2/org/app/tags":      late(15*time.Second, serveList("", "v1")),
		}))
		c := n.client(upstream.Options{})
		for range 4 {
			wantBlob(t, c, int64(len(blob)))
			if err := fetch(t, c); err != nil {
				t.Error(err)
			}
			if _, err := c.Tags(t.Context(), app); err != nil {
				t.Error(err)
			}
			wantOtherRepositoryWorks(t, c)
		}
	})
}

// TestBackgroundDelaysNoClient checks that failures and limits of background work do not affect clients.
func TestBackgroundDelaysNoClient(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{"500": page(500), "429": limited("3600"), "silence": silent} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				var busy atomic.Bool
				busy.Store(true)
				n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
					if busy.Load() {
						bad(w, r)
						return
					}
					serveIndex(w, r)
				}))
				c := n.client(upstream.Options{})
				for range 5 {
					if _, err := c.Manifest(mirror.Background(t.Context()), appTag); err == nil {
						t.Error("no error")
					}
				}
				busy.Store(false)
				if err := fetch(t, c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBudget checks that requests which the endpoint counts share one budget, and that others are not delayed.
func TestBudget(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", route(&requestLog{}, map[string]http.HandlerFunc{"GET /v2/org/app/manifests": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("RateLimit-Limit", "100;w=21600")
			w.Header().Set("RateLimit-Remaining", "0;w=21600")
			serveIndex(w, r)
		}}))
		c := n.client(upstream.Options{})
		_ = fetch(t, c)
		if d := took(func() {
			for range 10 {
				wantBlob(t, c, int64(len(blob)))
			}
		}); d != 0 {
			t.Errorf("blobs took %v", d)
		}
		_ = fetch(t, c)
		if d := took(func() { _ = fetch(t, c) }); d != 2*time.Second {
			t.Errorf("a manifest took %v", d)
		}
	})
}

// TestRetryAfterByTheServersClock has a Retry-After with a date, which is relative to the Date of the response.
func TestRetryAfterByTheServersClock(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		theirs := func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
		n.serve("registry.test", play(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", theirs().UTC().Format(http.TimeFormat))
			limited(theirs().Add(time.Minute).UTC().Format(http.TimeFormat))(w, r)
		}, serveIndex))
		c := n.client(upstream.Options{})
		_ = fetch(t, c)
		<-time.After(50 * time.Second)
		wantAtOnce(t, c, "its rate limit is reached; next attempt at")
		<-time.After(10 * time.Second)
		if err := fetch(t, c); err != nil {
			t.Error(err)
		}
	})
}

// TestNoPingAfterCancel checks that /v2/ is not requested once all callers have left, as happens when the mirror goes
// offline.
func TestNoPingAfterCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		seen := &requestLog{}
		n.serve("registry.test", seen.wrap(http.HandlerFunc(silent)))
		c := n.client(upstream.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Manifest(ctx, appTag)
		wantError(t, err, mirror.CodeUnavailable)
		<-time.After(time.Minute)
		if got := fmt.Sprint(seen.lines()); got != "[GET /v2/org/app/manifests/v1]" || n.dialled() != 1 {
			t.Errorf("requests were %s in %d dials", got, n.dialled())
		}
	})
}
