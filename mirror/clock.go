package mirror

import (
	"math"
	"time"
)

// Within reports whether a stored time is certainly less than d before now, which is the time of the clock that it was made
// by. A time that is later than now was made while the clock was wrong, or the clock is wrong now: nobody knows how long ago
// it was. What was to be left alone for d after it is due then, be it a tag to be revalidated or work to be done again.
func Within(at, now time.Time, d time.Duration) bool {
	ago := now.Sub(at)
	return ago >= 0 && ago < d
}

// Forever is a time to live that never ends: the upstream is not asked again.
const Forever = time.Duration(math.MaxInt64)

// Clock has a time of its own by which it dates things, as [CollectStore.Now] does.
type Clock interface {
	Now() time.Time
}

// agreement is how far a dater may be from the time of day and still agree with it: the two are read one after the other.
const agreement = 2 * time.Second

// WallClockOffset returns what to add to a time by d to show it to people, who go by the time of day as this machine has it; zero
// as long as the two agree.
func WallClockOffset(d Clock) time.Duration {
	offset := time.Since(d.Now())
	if offset.Abs() < agreement {
		return 0
	}
	return offset.Round(time.Second)
}

// WallClockTime adds a [WallClockOffset] to a time; the zero time, which stands for one that is not known, stays as it is.
func WallClockTime(at time.Time, offset time.Duration) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(offset)
}
