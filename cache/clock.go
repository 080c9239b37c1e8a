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
	// clockTolerance is how far the time of day may move against the time that passed before it counts as set.
	clockTolerance = time.Second
	// clockRecordAge is how old the record of a clock may become while nobody uses the store.
	clockRecordAge = time.Hour
	// maxDowntime is how long a machine may have been off, by its time of day alone, before that is in doubt. What is
	// stored does not age in a time that is in doubt.
	maxDowntime = 30 * 24 * time.Hour
	// fileTolerance is how far the times of files may be ahead of the clock: network file systems have their own.
	fileTolerance = time.Minute
)

// firstRelease is before the first store that kept a record of its clock. A time of day before it is wrong.
var firstRelease = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// clock is the time by which a store dates what it holds. It is the time of day as long as nobody sets that. It never goes
// back, and it goes forward only with time that passed: a machine that was started in 1970 or 2040 dates what it stores by
// going on from where the store was, and what it stored before keeps its age when the time of day is put right.
//
// Within one start of the machine, the time that passed is known, also between two processes. Between two starts it is known
// from the time of day alone. That is believed if it is later than the last time of the store and by no more than
// [maxDowntime]; else the store goes on from its last time, in doubt, until the time of day is set to one that is believed.
//
// The times of files are those of the time of day when they were written, and nobody knows whether it was right. A file
// that was written before the time of day was last set counts as written at that moment, and so it is left alone for longer
// than it must be.
type clock struct {
	machine backend.Clock
	log     *zap.Logger

	mu       sync.Mutex
	last     clockRecord
	recorded clockRecord // what the index has; no newer than that
	opened   time.Time
}

// clockRecord is a moment by the clock of a store and by the machine, and what the one knows of the other.
type clockRecord struct {
	Time    time.Time     `json:"time"`             // by the store
	Offset  time.Duration `json:"offset,omitempty"` // that of Time from the time of day
	Start   string        `json:"start,omitempty"`  // as Clock.Uptime says
	Running time.Duration `json:"running"`
	// Uncertain says that the machine was off for a time that is not known, and does not count.
	Uncertain bool `json:"doubt,omitempty"`
	// Set is when the time of day was last set, by the store.
	Set time.Time `json:"set,omitzero"`
}

// openClock goes on with the clock of an index.
func openClock(ctx context.Context, index backend.Index, machine backend.Clock, log *zap.Logger) (*clock, error) {
	c := &clock{machine: machine, log: log}
	wall := machine.Now().UTC().Round(0)
	start, running := machine.Uptime()
	err := index.View(ctx, func(tx backend.ReadTx) error {
		var err error
		if c.last, _, err = getRecord[clockRecord](tx, tableMeta, clockKey); err != nil {
			log.Warn("what the store noted of its clock cannot be read; it goes by the time of day", zap.Error(err))
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

// begin notes the clock with the first use of the store since the start of the machine: what is dated from now on counts from
// there, whatever becomes of the time of day.
func (c *clock) recordFirstUse(ctx context.Context, index backend.Index) error {
	if !c.recorded.Time.IsZero() {
		return nil
	}
	return c.writeWith(ctx, index, func(backend.WriteTx) error { return nil })
}

// restarted goes on after another start of the machine: a time that nobody counted has passed, and then running.
func (c *clock) rebooted(wall time.Time, start string, running time.Duration) {
	if start == "" {
		running = 0
	}
	least := c.last.Time.Add(running)
	offset, believed := c.plausibleOffset(wall, least, maxDowntime)
	if !believed {
		c.log.Warn("the clock of this machine does not follow the time at which this store was last used: check it. Stored content does not age by the difference",
			zap.Time("clock", wall), zap.Time("lastUsed", c.last.Time))
		offset = least.Sub(wall)
		c.last.Set = least
	}
	c.last.Time, c.last.Offset, c.last.Uncertain = wall.Add(offset), offset, !believed
	c.last.Start, c.last.Running = start, running
}

// believe returns the offset with which a time of day is one that the store can have: not before least, nor by more than
// stop after it. The time of day itself comes first, so that a store comes back to it.
func (c *clock) plausibleOffset(wall, least time.Time, stop time.Duration) (offset time.Duration, believed bool) {
	for _, offset := range [...]time.Duration{0, c.last.Offset} {
		if ahead := wall.Add(offset).Sub(least); ahead >= 0 && ahead <= stop {
			return offset, true
		}
	}
	return 0, false
}

// now returns the time by which the store dates things.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.machine.Now().UTC().Round(0)
	_, running := c.machine.Uptime()
	c.advance(wall, running)
	return c.last.Time
}

// advance goes on to a later moment of the same start of the machine.
func (c *clock) advance(wall time.Time, running time.Duration) {
	passed := max(0, running-c.last.Running)
	least := c.last.Time.Add(passed)
	set := wall.Add(c.last.Offset).Sub(least)
	if set.Abs() > clockTolerance {
		c.wallClockSet(wall, least, set)
	}
	c.last.Time, c.last.Running = latest(wall.Add(c.last.Offset), c.last.Time), c.last.Running+passed
}

// wallClockSet takes note that somebody set the time of day.
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

// written returns when a file was written, by the time of the store; at is what the file system says.
func (c *clock) fileTime(at time.Time) time.Time {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	at = at.UTC().Add(c.last.Offset)
	if at.After(now.Add(fileTolerance)) {
		return latest(c.last.Set, c.opened)
	}
	return latest(at, c.last.Set)
}

// due reports whether the record in the index is old.
func (c *clock) recordDue() bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.recorded.Time) >= clockRecordAge || c.last.Offset != c.recorded.Offset
}

// newestTime returns the latest time in an index that has no record of a clock yet. What cannot be read is passed over.
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

// note writes the record of the clock as it is now.
func (c *clock) write(tx backend.WriteTx) error {
	c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return putRecord(tx, tableMeta, clockKey, c.last)
}

// writeWith writes the record in a transaction that does something else as well.
func (c *clock) writeWith(ctx context.Context, index backend.Index, do func(tx backend.WriteTx) error) error {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	err := index.Update(ctx, func(tx backend.WriteTx) error { return errors.Join(do(tx), c.write(tx)) })
	if err == nil {
		c.mu.Lock()
		c.recorded = last
		c.mu.Unlock()
	}
	return err
}

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
