package cachetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"airmirror/cache/backend"
)

// Machine is a [backend.Clock] that is told what happens to it.
type Machine struct {
	mu     sync.Mutex
	day    time.Time
	starts int
	up     time.Duration
}

var _ backend.Clock = (*Machine)(nil)

// NewMachine returns a machine that has been running for an hour.
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

// Pass lets time pass.
func (m *Machine) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day, m.up = m.day.Add(d), m.up+d
}

// Set sets the time of day, and nothing else.
func (m *Machine) Set(day time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day = day
}

// Restart starts the machine anew, a minute ago, with a time of day.
func (m *Machine) Restart(day time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.day, m.starts, m.up = day, m.starts+1, time.Minute
}

// Bubble is a [backend.Clock] of a machine in the time of testing/synctest: its uptime passes as fast as there, also between two
// processes. Its zero value is ready.
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

// SetAhead sets the time of day to so much after the time of the bubble, or before it.
func (b *Bubble) SetAhead(d time.Duration) { b.ahead.Store(int64(d)) }
