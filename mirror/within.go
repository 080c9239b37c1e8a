package mirror

import "time"

// Within reports whether a stored time is certainly less than d ago, by the clock of this machine. A time that is later than
// now was stored while the clock was wrong, or the clock is wrong now: nobody knows how long ago it was. What was to be left
// alone for d after it is due then, be it a tag to be revalidated or work to be done again.
func Within(at time.Time, d time.Duration) bool {
	ago := time.Since(at)
	return ago >= 0 && ago < d
}
