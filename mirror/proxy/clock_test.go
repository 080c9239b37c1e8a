package proxy_test

import (
	"fmt"
	"testing"
	"time"

	"airmirror/cache/cachetest"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestTagCheckedInTheFutureIsRevalidated checks a tag that was pulled while the clock was wrong.
func TestTagCheckedInTheFutureIsRevalidated(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return time.Hour }})
		d := p.origin.image(app, []string{"layer"}, "v1").Digest
		p.get(byTag("v1"), d)
		p.must(p.store.Revalidated(t.Context(), app, "v1", d, time.Now().AddDate(40, 0, 0)))
		for range 3 { // it is confirmed by the right clock then
			p.get(byTag("v1"), d)
		}
		if n := p.origin.count("resolve origin.test/org/app:v1"); n != 1 {
			t.Errorf("the upstream got %d requests, want 1", n)
		}
	})
}

// TestTTLIgnoresClockChanges checks that setting the clock neither revalidates a tag nor prevents its revalidation.
func TestTTLIgnoresClockChanges(t *testing.T) {
	for _, year := range []int{1970, 2040} {
		t.Run(fmt.Sprint(year), func(t *testing.T) {
			m := cachetest.NewMachine(time.Now())
			p := &place{t: t, folder: t.TempDir(), origin: newOrigin(t), clock: m,
				opts: proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return time.Hour }}}
			p.start()
			defer func() { p.stop() }()
			d := p.origin.image(app, []string{"layer"}, "v1").Digest
			asked := func(when string, want int) {
				t.Helper()
				p.get(byTag("v1"), d)
				if n := p.origin.count("resolve origin.test/org/app:v1"); n != want {
					t.Errorf("%s: the upstream got %d requests, want %d", when, n, want)
				}
			}
			asked("at first", 0)
			m.Set(time.Date(year, time.June, 1, 0, 0, 0, 0, time.UTC))
			m.Pass(59 * time.Minute)
			asked("within the hour", 0)
			m.Pass(2 * time.Minute)
			asked("after the hour", 1)
			m.Set(time.Now())
			m.Pass(59 * time.Minute)
			asked("within an hour of the confirmation", 1)
			m.Pass(2 * time.Minute)
			asked("after an hour of the confirmation", 2)
		})
	}
}

// TestScrubDatedInTheFutureIsIgnored checks that a scrub starts if the last one seems to have run in the future.
func TestScrubDatedInTheFutureIsIgnored(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.push(ours, "layer")
		p.must(p.store.SetState(t.Context(), "verify", map[string][]byte{
			"lap": []byte(`{"done":true,"summary":{"started":"2040-01-01T00:00:00Z"}}`)}))
		p.opts.ScrubEvery = 24 * time.Hour
		p.restart()
		later(time.Minute)
		if last := p.Status().Verify.Last; last == nil || last.Files != 1 || time.Since(last.Started) > time.Hour {
			t.Errorf("%+v", last)
		}
	})
}
