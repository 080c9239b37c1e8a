package mirror_test

import (
	"testing"
	"time"

	"airmirror/mirror"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]struct {
		d     time.Duration
		again string
	}{
		"90s": {90 * time.Second, "1m30s"}, "5m": {5 * time.Minute, "5m"}, "1h0m0s": {time.Hour, "1h"}, "36h": {36 * time.Hour, "36h"},
		"7d": {7 * day, "7d"}, "2w": {14 * day, "14d"}, "1d12h": {36 * time.Hour, "36h"}, "1w1d": {8 * day, "8d"}, "0": {0, "0s"}, "0d": {0, "0s"},
		"1h30m": {90 * time.Minute, "1h30m"}, "-5s": {-5 * time.Second, "-5s"}, "24h": {day, "1d"}, "1h0m5s": {time.Hour + 5*time.Second, "1h0m5s"},
	} {
		got, err := mirror.ParseDuration(text)
		if err != nil || got != want.d {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want.d)
		}
		if again := mirror.FormatDuration(got); again != want.again {
			t.Errorf("%s is written as %s, want %s", text, again, want.again)
		}
		if back, err := mirror.ParseDuration(want.again); err != nil || back != want.d {
			t.Errorf("%s: %s, %v", want.again, back, err)
		}
	}
	for _, text := range []string{"", "5", "d", "7 days", "1d-5h", "-7d", "1.5d", "1d1w", "99999999w", "106751d24h", "1dd", "d5"} {
		if got, err := mirror.ParseDuration(text); err == nil {
			t.Errorf("%q: %s, want an error", text, got)
		}
	}
}
