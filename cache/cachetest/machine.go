package cachetest

import (
	"fmt"
	"sync"
	"time"

	"airmirror/cache"
)

// Machine is a [cache.Clock] that is told what happens to it.
type Machine struct {
	mu     sync.Mutex
	day    time.Time
	starts int
	up     time.Duration
}

var _ cache.Clock = (*Machine)(nil)

// NewMachine returns a machine that has been running for an hour.
func NewMachine(day time.Time) *Machine { return &Machine{day: day, starts: 1, up: time.Hour} }

// Now implements [cache.Clock].
func (m *Machine) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.day
}

// Running implements [cache.Clock].
func (m *Machine) Running() (start string, since time.Duration) {
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
