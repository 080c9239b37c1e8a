package cache

import "time"

// machine implements [Clock] with the clocks of this machine.
type machine struct {
	start  string
	opened time.Time // with the reading of the monotonic clock
	uptime time.Duration
}

func newMachine() machine { return machine{BootID(), time.Now(), uptime()} }

func (m machine) Now() time.Time { return time.Now() }

// Running goes by the monotonic clock, which stops while the machine is suspended, or by how long the machine is up.
func (m machine) Running() (start string, since time.Duration) {
	return m.start, max(m.uptime+time.Since(m.opened), uptime())
}
