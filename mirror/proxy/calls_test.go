package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// closeTakes is how long a mirror takes to close that may take half a minute.
func (p *place) closeTakes() time.Duration {
	p.t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	p.must(p.Close(ctx))
	return time.Since(begin)
}

func TestCloseCancelsCallsWithoutCallers(t *testing.T) {
	for name, tt := range map[string]struct {
		hangs string
		ask   func(p *place)
	}{
		"a list":         {"tags", func(p *place) { _, _ = p.Tags(p.t.Context(), app, "", 9) }},
		"referrers":      {"referrers", func(p *place) { _, _ = p.Referrers(p.t.Context(), app, digest.FromString("x"), "", 100, 1<<20) }},
		"a revalidation": {"resolve", func(p *place) { p.stat(byTag("v1"), p.origin.tags[byTag("v1").String()]) }},
		"a miss": {"manifest", func(p *place) {
			ctx, cancel := context.WithTimeout(p.t.Context(), time.Second)
			defer cancel()
			_, _ = p.Manifest(ctx, byTag("v2"))
		}},
		"a completion": {"referrers", func(p *place) {
			d := p.origin.image(app, []string{"other"}, "v3").Digest
			p.get(byTag("v3"), d)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{Backfill: func(mirror.Repo) (bool, bool) { return name == "a completion", true }})
				p.get(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
				later(time.Second)
				p.origin.set(hangs(tt.hangs))
				tt.ask(p)
				synctest.Wait()
				if took := p.closeTakes(); took != 0 {
					t.Errorf("closing took %s", took)
				}
			})
		})
	}
}

func TestCloseWaitsForCallsOfClients(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.origin.image(app, []string{"layer"}, "v1")
		p.origin.set(func(ctx context.Context, _ string) error {
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		errs := make(chan error, 2)
		go func() { _, err := p.Manifest(t.Context(), byTag("v1")); errs <- err }()
		go func() { _, err := p.read(app, digest.FromString("layer")); errs <- err }()
		synctest.Wait()
		if took := p.closeTakes(); took != 3*time.Second {
			t.Errorf("closing took %s", took)
		}
		for range cap(errs) {
			p.must(<-errs)
		}
	})
}

// TestListCacheIsLimited checks that the latest lists are cached, and lists that are too large are not.
func TestListCacheIsLimited(t *testing.T) {
	p := start(t, proxy.Options{})
	const repos = 6
	for i := range repos {
		for j := range 25_000 { // some 3 MB of them
			p.origin.tags[ofTag(numbered(i), fmt.Sprintf("%0100d", j)).String()] = "x"
		}
	}
	list := func(i int) {
		t.Helper()
		_, err := p.Tags(t.Context(), numbered(i), "", 9)
		p.must(err)
	}
	for i := range repos {
		list(i)
		list(i)
	}
	p.origin.once()
	list(repos - 1)
	p.origin.once()
	list(0)
	if n := p.origin.count("tags " + numbered(0).String()); n != 2 {
		t.Errorf("%d requests for a list that is too large to keep", n)
	}
}

func numbered(i int) mirror.Repo {
	return mirror.Repo{Host: "origin.test", Path: fmt.Sprintf("org/app-%d", i)}
}

// TestBackgroundFailuresDoNotAffectClients checks that a client uses the answer of a background call, and sends its own
// request if there is none.
func TestBackgroundFailuresDoNotAffectClients(t *testing.T) {
	limited := mirror.Errorf(mirror.CodeUnavailable, "it is rate-limited")
	for name, tt := range map[string]struct {
		call    string
		refused error
		asked   int
		fetch   func(p *place) error
		ask     func(p *place) error
	}{
		"a miss": {
			"manifest", limited, 2,
			func(p *place) error { _, err := p.Fetch(p.t.Context(), byTag("v2"), mirror.FetchOptions{}); return err },
			func(p *place) error { _, err := p.Manifest(p.t.Context(), byTag("v2")); return err },
		},
		"a miss that is answered": {
			"manifest", nil, 1,
			func(p *place) error { _, err := p.Fetch(p.t.Context(), byTag("v2"), mirror.FetchOptions{}); return err },
			func(p *place) error { _, err := p.Manifest(p.t.Context(), byTag("v2")); return err },
		},
		"a revalidation": {
			"resolve", limited, 2,
			func(p *place) error {
				got, _ := p.Fetch(p.t.Context(), byTag("v1"), mirror.FetchOptions{})
				return got.NotChecked
			},
			func(p *place) error {
				answer, err := p.Manifest(p.t.Context(), byTag("v1"))
				return errors.Join(err, answer.Stale)
			},
		},
		"referrers": {
			"referrers", limited, 2,
			func(p *place) error {
				got, err := p.Fetch(p.t.Context(), byTag("v1"), mirror.FetchOptions{Referrers: true})
				return errors.Join(err, got.NotChecked)
			},
			func(p *place) error {
				list, err := p.Referrers(p.t.Context(), app, p.origin.tags[byTag("v1").String()], "", 100, 1<<20)
				return errors.Join(err, list.Stale)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{})
				p.get(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
				p.origin.image(app, []string{"other"}, "v2")
				later(time.Hour)
				var asked atomic.Int32
				p.origin.set(func(ctx context.Context, call string) error {
					if !strings.HasPrefix(call, tt.call) {
						return nil
					}
					asked.Add(1)
					if !mirror.IsBackground(ctx) {
						return nil
					}
					time.Sleep(100 * time.Millisecond) // less than the patience of clients
					return tt.refused
				})
				fetched := make(chan error, 1)
				go func() { fetched <- tt.fetch(p) }()
				synctest.Wait()
				if err := tt.ask(p); err != nil {
					t.Errorf("the client is refused: %v", err)
				}
				if err := <-fetched; (err != nil) != (tt.refused != nil) {
					t.Errorf("the fetch: %v", err)
				}
				if got := int(asked.Load()); got != tt.asked {
					t.Errorf("the upstream got %d requests, want %d", got, tt.asked)
				}
			})
		})
	}
}
