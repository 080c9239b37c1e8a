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
