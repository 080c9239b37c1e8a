package upstream

import "time"

// now is the clock of circuit breakers and rate limits: its times are compared with one another by their monotonic
// readings. It is a variable for tests in which the wall clock jumps.
var now = time.Now

// row is failures one after another. Requests that were under way together fail together: that counts as one. The zero
// value is an empty one.
type failureStreak struct {
	count       int
	first, last time.Time // failure in it
	err         error     // of the last
}

// add notes the failure of a request that began at begun, and reports whether it counts.
func (r *failureStreak) add(begun time.Time, err error) bool {
	if begun.Before(r.last) {
		return false
	}
	r.addAlways(err)
	return true
}

// force notes a failure that counts in any case.
func (r *failureStreak) addAlways(err error) {
	r.last = now()
	if r.count == 0 {
		r.first = r.last
	}
	r.count, r.err = r.count+1, err
}
