package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"airmirror/cache/backend"
)

const (
	// clockTolerance is the difference between wall clock and elapsed time from which on the wall clock counts as set.
	clockTolerance = time.Second
	// clockRecordAge is how old the clock record in the index may become while the store is not used.
	clockRecordAge = time.Hour
	// maxDowntime is the longest downtime of the machine that is accepted on the evidence of the wall clock alone.
	// Stored content does not age during a longer one.
	maxDowntime = 30 * 24 * time.Hour
	// fileTolerance is how far the times of files may be ahead of the clock, because network file systems have their
	// own.
	fileTolerance = time.Minute
)

// firstRelease is earlier than the first store with a clock record. A wall clock before it is wrong.
var firstRelease = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// clock provides the times that a store records. It follows the wall clock as long as nobody sets that. It never goes
// back, and it advances only with elapsed time. If a machine boots with a clock in 1970 or 2040, the store continues
// from its last recorded time, and stored content keeps its age when the wall clock is corrected.
//
// Within one boot of the machine, the elapsed time is known, also between two processes. Between two boots, only the
// wall clock shows it. It is accepted if it is later than the last recorded time, by at most [maxDowntime]. Otherwise
// the store continues from its last recorded time, uncertain, until the wall clock is set to an acceptable time.
//
// The time of a file is the wall clock time when it was written, which may have been wrong. A file that was written
// before the wall clock was last set counts as written at that moment, and is kept for longer than necessary.
type clock struct {
	machine backend.Clock
	server  *serverClock // if not nil, it provides the time instead, and nothing is recorded
	log     *zap.Logger

	mu       sync.Mutex
	last     clockRecord
	recorded clockRecord // the record in the index, or an older one
	opened   time.Time
}

// clockRecord is a moment by the clock of the store and by the clocks of the machine.
type clockRecord struct {
	Time    time.Time     `json:"time"`             // by the clock of the store
	Offset  time.Duration `json:"offset,omitempty"` // Time minus the wall clock time
	Start   string        `json:"start,omitempty"`  // the boot ID, as [backend.Clock] returns it
	Running time.Duration `json:"running"`
	// Uncertain marks that an unknown downtime passed, which does not count.
	Uncertain bool `json:"doubt,omitempty"`
	// Set is when the wall clock was last set, by the clock of the store.
	Set time.Time `json:"set,omitzero"`
}

// openClock continues the clock of an index.
func openClock(ctx context.Context, index backend.Index, machine backend.Clock, log *zap.Logger) (*clock, error) {
	c := &clock{machine: machine, log: log}
	wall := machine.Now().UTC().Round(0)
	start, running := machine.Uptime()
	err := index.View(ctx, func(tx backend.ReadTx) error {
		var err error
		if c.last, _, err = getRecord[clockRecord](tx, tableMeta, clockKey); err != nil {
			log.Warn("cannot read the clock record of the store; using the wall clock", zap.Error(err))
		}
		if c.last.Time.IsZero() && wall.Before(firstRelease) {
			wall = latest(wall, newestTime(tx))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch {
	case c.last.Time.IsZero():
		c.last = clockRecord{Time: wall, Start: start, Running: running}
	case start != "" && start == c.last.Start && running >= c.last.Running:
		noted := c.last
		c.advance(wall, running)
		c.recorded = noted
	default:
		c.rebooted(wall, start, running)
	}
	c.opened = c.last.Time
	return c, nil
}

// openAnyClock opens the clock that the options name: otherwise that of the server, or of the machine if server is nil.
func openAnyClock(ctx context.Context, index backend.Index, server backend.Shared, o Options) (*clock, error) {
	switch {
	case o.Clock != nil:
		return openClock(ctx, index, o.Clock, o.Log)
	case server == nil:
		return openClock(ctx, index, newSystemClock(), o.Log)
	}
	time, err := openServerClock(ctx, server)
	return &clock{server: time, log: o.Log}, err
}

// recordFirstUse writes the clock record on the first use of the store since the machine booted. Later times count from
// there, whatever happens to the wall clock.
func (c *clock) recordFirstUse(ctx context.Context, index backend.Index) error {
	if c.server != nil || !c.recorded.Time.IsZero() {
		return nil
	}
	return c.writeWith(ctx, index, backend.Locks{}, func(backend.WriteTx) error { return nil })
}

// rebooted continues the clock after a reboot: an unknown time has passed, and then running.
func (c *clock) rebooted(wall time.Time, start string, running time.Duration) {
	if start == "" {
		running = 0
	}
	least := c.last.Time.Add(running)
	offset, believed := c.plausibleOffset(wall, least, maxDowntime)
	if !believed {
		c.log.Warn("the clock of this machine does not agree with the last use of the store: check the clock. Stored content does not age by the difference",
			zap.Time("clock", wall), zap.Time("lastUsed", c.last.Time))
		offset = least.Sub(wall)
		c.last.Set = least
	}
	c.last.Time, c.last.Offset, c.last.Uncertain = wall.Add(offset), offset, !believed
	c.last.Start, c.last.Running = start, running
}

// plausibleOffset returns the offset that makes a wall clock time acceptable: not before least, and at most stop after
// it. The offset 0 is preferred, so that the store returns to the wall clock.
func (c *clock) plausibleOffset(wall, least time.Time, stop time.Duration) (offset time.Duration, believed bool) {
	for _, offset := range [...]time.Duration{0, c.last.Offset} {
		if ahead := wall.Add(offset).Sub(least); ahead >= 0 && ahead <= stop {
			return offset, true
		}
	}
	return 0, false
}

// now returns the current time by the clock of the store.
func (c *clock) now() time.Time {
	if c.server != nil {
		return c.server.now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.machine.Now().UTC().Round(0)
	_, running := c.machine.Uptime()
	c.advance(wall, running)
	return c.last.Time
}

// advance moves the clock to a later moment of the same boot.
func (c *clock) advance(wall time.Time, running time.Duration) {
	passed := max(0, running-c.last.Running)
	least := c.last.Time.Add(passed)
	set := wall.Add(c.last.Offset).Sub(least)
	if set.Abs() > clockTolerance {
		c.wallClockSet(wall, least, set)
	}
	c.last.Time, c.last.Running = latest(wall.Add(c.last.Offset), c.last.Time), c.last.Running+passed
}

// wallClockSet adjusts the clock after the wall clock was set.
func (c *clock) wallClockSet(wall, least time.Time, by time.Duration) {
	c.log.Warn("the clock of this machine was set; stored content keeps its age", zap.Time("clock", wall), zap.Duration("by", by))
	if c.last.Uncertain {
		if offset, believed := c.plausibleOffset(wall, least, maxDowntime); believed {
			c.last.Offset, c.last.Uncertain, c.last.Set = offset, false, wall.Add(offset)
			return
		}
	}
	c.last.Offset, c.last.Set = least.Sub(wall), least
}

// fileTime returns when a file was written, by the clock of the store; at is the time in the file system.
func (c *clock) fileTime(at time.Time) time.Time {
	if c.server != nil {
		return at.UTC()
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	at = at.UTC().Add(c.last.Offset)
	if at.After(now.Add(fileTolerance)) {
		return latest(c.last.Set, c.opened)
	}
	return latest(at, c.last.Set)
}

// recordDue reports whether the record in the index is out of date.
func (c *clock) recordDue() bool {
	if c.server != nil {
		return false
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.recorded.Time) >= clockRecordAge || c.last.Offset != c.recorded.Offset
}

// newestTime returns the latest time in an index that has no clock record yet. It skips records that cannot be decoded.
func newestTime(tx backend.ReadTx) (at time.Time) {
	for k, value := range tx.Scan(tableBlobs, "", "") {
		if record, err := scanBlob(k, value); err == nil {
			at = latest(at, record.Added)
		}
	}
	for k, value := range tx.Scan(tableLinks, "", "") {
		if record, err := scanLink(k, value); err == nil {
			at = latest(at, record.Added, record.Used)
		}
	}
	for k, value := range tx.Scan(tableRecency, "", "") {
		if record, err := scanRecency(k, value); err == nil {
			at = latest(at, record.Used)
		}
	}
	return at
}

// write writes the clock record.
func (c *clock) write(tx backend.WriteTx) error {
	c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return putRecord(tx, tableMeta, clockKey, c.last)
}

// writeWith writes the clock record in one transaction with do. The locks include clockLock, or are none.
func (c *clock) writeWith(ctx context.Context, index backend.Index, locks backend.Locks, do func(tx backend.WriteTx) error) error {
	if c.server != nil {
		return index.Update(ctx, locks, do)
	}
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	err := index.Update(ctx, locks, func(tx backend.WriteTx) error { return errors.Join(do(tx), c.write(tx)) })
	if err == nil {
		c.mu.Lock()
		c.recorded = last
		c.mu.Unlock()
	}
	return err
}

// systemClock implements [backend.Clock] with the clocks of the machine.
type systemClock struct {
	start  string
	opened time.Time     // with a monotonic clock reading
	booted time.Duration // the uptime of the machine at opened
	uptime func() time.Duration

	mu        sync.Mutex
	read      time.Duration // when the uptime was last read, by the monotonic clock since opened
	drift     time.Duration // how far the wall clock had moved against the monotonic clock then
	suspended time.Duration // how long the machine had been suspended since opened then
}

const (
	// driftTolerance is how far the wall clock may move against the monotonic clock before the uptime is read again.
	driftTolerance = 100 * time.Millisecond
	// maxUptimeAge is how long the time of suspension is reused if the wall clock does not move.
	maxUptimeAge = time.Minute
)

func newSystemClock() *systemClock {
	return &systemClock{start: backend.BootID(), opened: time.Now(), booted: backend.Uptime(), uptime: backend.Uptime}
}

func (m *systemClock) Now() time.Time { return time.Now() }

// Uptime returns the time since the machine booted. The monotonic clock stops while the machine is suspended.
func (m *systemClock) Uptime() (start string, since time.Duration) {
	now := time.Now()
	return m.start, m.uptimeAt(now.Sub(m.opened), now.Round(0).Sub(m.opened.Round(0)))
}

// uptimeAt returns the uptime of the machine from the time since opened, by the monotonic clock and by the wall clock. It
// reads the uptime, which is a system call, only if the machine may have been suspended since it was last read: the wall
// clock goes on then, and the monotonic clock does not.
func (m *systemClock) uptimeAt(monotonic, wall time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if drift := wall - monotonic; (drift-m.drift).Abs() > driftTolerance || monotonic-m.read > maxUptimeAge {
		m.read, m.drift = monotonic, drift
		m.suspended = max(m.suspended, m.uptime()-m.booted-monotonic)
	}
	return m.booted + monotonic + m.suspended
}
