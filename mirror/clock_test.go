package mirror_test

import (
	"testing"
	"testing/synctest"
	"time"

	"airmirror/mirror"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			ago  time.Duration
			want bool
		}{{0, true}, {59 * time.Minute, true}, {time.Hour, false}, {50 * 365 * 24 * time.Hour, false}, {-time.Second, false}, {-20 * 365 * 24 * time.Hour, false}} {
			if got := mirror.Within(time.Now().Add(-tt.ago), time.Now(), time.Hour); got != tt.want {
				t.Errorf("%s ago: %t", tt.ago, got)
			}
		}
		if mirror.Within(time.Time{}, time.Now(), mirror.Forever) {
			t.Error("never was not long ago")
		}
	})
}

// TestATagThatWasConfirmedInTheFutureIsRevalidated: the clock was wrong when it was pulled, and right since.
func TestATagThatWasConfirmedInTheFutureIsRevalidated(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, mirror.Options{Fresh: func(mirror.Ref) time.Duration { return time.Hour }})
		d := p.origin.image(app, []string{"layer"}, "v1").Digest
		p.get(byTag("v1"), d)
		p.must(p.store.Revalidated(t.Context(), app, "v1", d, time.Now().AddDate(40, 0, 0)))
		for range 3 { // it is confirmed by the right clock then
			p.get(byTag("v1"), d)
		}
		if n := p.origin.count("resolve origin.test/org/app:v1"); n != 1 {
			t.Errorf("the upstream was asked %d times, want once", n)
		}
	})
}
