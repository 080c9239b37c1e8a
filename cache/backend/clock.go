package backend

import "time"

// Clock provides the time to a store. All methods are safe for concurrent use.
type Clock interface {
	// Now returns the wall clock time. It may be wrong, and it may be set at any time.
	Now() time.Time
	// Uptime returns the time since the machine booted, including suspended time; setting the wall clock does not change
	// it. bootID identifies that boot, and is "" if it is not known.
	Uptime() (bootID string, uptime time.Duration)
}
