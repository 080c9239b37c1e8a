package cache

import (
	"testing"
	"time"
)

// TestUptimeIsReadAfterSuspension checks when the system clock reads the uptime of the machine, and that it counts the time
// of suspension once.
func TestUptimeIsReadAfterSuspension(t *testing.T) {
	const booted = time.Hour
	clock, reads := &systemClock{booted: booted}, 0
	for _, tt := range []struct {
		name                 string
		monotonic, wall, now time.Duration // since the clock was opened; now by the uptime of the machine
		read                 bool
		want                 time.Duration
	}{
		{"at first", time.Second, time.Second, time.Second, false, time.Second},
		{"the wall clock is slewed", 2 * time.Second, 2*time.Second + driftTolerance/2, 2 * time.Second, false, 2 * time.Second},
		{"suspended", 3 * time.Second, time.Minute, time.Minute, true, time.Minute},
		{"after that", 4 * time.Second, time.Minute + time.Second, 0, false, time.Minute + time.Second},
		{"the wall clock is set", 5 * time.Second, -time.Hour, time.Minute + 2*time.Second, true, time.Minute + 2*time.Second},
		{"suspended, and the wall clock set back", 6 * time.Second, -time.Hour + time.Second, 3 * time.Minute, false, time.Minute + 3*time.Second},
		{"noticed later", 6*time.Second + maxUptimeAge, -time.Hour + time.Second + maxUptimeAge, 4 * time.Minute, true, 4 * time.Minute},
		{"without an uptime", 8*time.Second + 2*maxUptimeAge, -time.Hour + 3*time.Second + 2*maxUptimeAge, -booted, true, 4*time.Minute + 2*time.Second + maxUptimeAge},
	} {
		clock.uptime = func() time.Duration { reads++; return booted + tt.now }
		reads = 0
		if got := clock.uptimeAt(tt.monotonic, tt.wall) - booted; got != tt.want || reads != map[bool]int{true: 1}[tt.read] {
			t.Errorf("%s: %v after %d reads, want %v", tt.name, got, reads, tt.want)
		}
	}
}
