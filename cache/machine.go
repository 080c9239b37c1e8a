package cache

import (
	"time"

	"airmirror/cache/backend"
)

// machine implements [Clock] with the clocks of this machine.
type machine struct {
	start  string
	opened time.Time // with the reading of the monotonic clock
	uptime time.Duration
}

func newMachine() machine { return machine{backend.BootID(), time.Now(), backend.Uptime()} }

func (m machine) Now() time.Time { return time.Now() }

// Uptime goes by the monotonic clock, which stops while the machine is suspended, or by how long the machine is up.
func (m machine) Uptime() (start string, since time.Duration) {
	return m.start, max(m.uptime+time.Since(m.opened), backend.Uptime())
}
