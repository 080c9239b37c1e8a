package mirror_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
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

func TestCloseWaitsForNoAnswerThatNobodyWaitsFor(t *testing.T) {
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
				p := start(t, mirror.Options{Complete: func(mirror.Repo) (bool, bool) { return name == "a completion", true }})
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

func TestCloseWaitsForWhatClientsWaitFor(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, mirror.Options{})
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

// TestListsAreRememberedWithinBounds has an upstream list much for many repositories: what was listed last is remembered,
// and what would be too much is not.
func TestListsAreRememberedWithinBounds(t *testing.T) {
	p := start(t, mirror.Options{})
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
		t.Errorf("asked %d times for a list that there is no room for", n)
	}
}

func numbered(i int) mirror.Repo {
	return mirror.Repo{Host: "origin.test", Path: fmt.Sprintf("org/app-%d", i)}
}
