package cache

import (
	"time"

	"airmirror/cache/backend"
)

// machine implements [backend.Clock] with the clocks of this machine.
type systemClock struct {
	start  string
	opened time.Time // with the reading of the monotonic clock
	uptime time.Duration
}

func newSystemClock() systemClock { return systemClock{backend.BootID(), time.Now(), backend.Uptime()} }

func (m systemClock) Now() time.Time { return time.Now() }

// Uptime goes by the monotonic clock, which stops while the machine is suspended, or by how long the machine is up.
func (m systemClock) Uptime() (start string, since time.Duration) {
	return m.start, max(m.uptime+time.Since(m.opened), backend.Uptime())
}
