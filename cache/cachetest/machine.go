package cachetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"airmirror/cache/backend"
)

// Machine is a [cache.Clock] that a test controls.
type Machine struct {
	mu     sync.Mutex
	day    time.Time
	starts int
	up     time.Duration
}

var _ backend.Clock = (*Machine)(nil)

// NewMachine returns a machine with the wall clock at day and an uptime of an hour.
func NewMachine(day time.Time) *Machine { return &Machine{day: day, starts: 1, up: time.Hour} }

// Now implements [backend.Clock].
func (m *Machine) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.day
}

// Uptime implements [backend.Clock].
func (m *Machine) Uptime() (start string, since time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.starts), m.up
}

// Pass advances the wall clock and the uptime by d.
func (m *Machine) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day, m.up = m.day.Add(d), m.up+d
}

// Set sets the wall clock, not the uptime.
func (m *Machine) Set(day time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day = day
}

// Restart restarts the machine: its wall clock is at day, and its uptime is a minute.
func (m *Machine) Restart(day time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day, m.starts, m.up = day, m.starts+1, time.Minute
}

// Bubble is a [cache.Clock] in the time of testing/synctest. Its uptime advances with that time, also between two
// processes. The zero value is ready to use.
type Bubble struct {
	ahead atomic.Int64
}

var _ backend.Clock = (*Bubble)(nil)

// Now implements [backend.Clock].
func (b *Bubble) Now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

// Uptime implements [backend.Clock].
func (b *Bubble) Uptime() (start string, since time.Duration) {
	return "one", time.Since(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC))
}

// SetAhead sets the wall clock to d after the time of the bubble.
func (b *Bubble) SetAhead(d time.Duration) { b.ahead.Store(int64(d)) }
