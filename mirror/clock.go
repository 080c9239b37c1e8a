package mirror

import (
	"math"
	"time"
)

// Within reports whether a stored time is less than d before now, by the clock that it was taken from. For a time after now
// it returns false: the clock was or is wrong, so that the age is unknown, and what depends on it is due.
func Within(at, now time.Time, d time.Duration) bool {
	ago := now.Sub(at)
	return ago >= 0 && ago < d
}

// Forever is a TTL that never ends.
const Forever = time.Duration(math.MaxInt64)

// Clock is a clock that may differ from the wall clock, see [CollectStore.Now].
type Clock interface {
	Now() time.Time
}

// agreement is the largest difference between two clocks that agree: they are read one after the other.
const agreement = 2 * time.Second

// WallClockOffset returns what to add to a time of d to get the time of this machine's wall clock; 0 if the two agree.
func WallClockOffset(d Clock) time.Duration {
	offset := time.Since(d.Now())
	if offset.Abs() < agreement {
		return 0
	}
	return offset.Round(time.Second)
}

// WallClockTime adds a [WallClockOffset] to a time. It returns the zero time, which means unknown, as it is.
func WallClockTime(at time.Time, offset time.Duration) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(offset)
}
