package gc

import (
	"context"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Serve collects by schedule, and when the disk is nearly full, and drops uploads that were left, until ctx ends. Call it
// once.
func (c *Collector) Serve(ctx context.Context) {
	for ctx.Err() == nil {
		wait, changed := c.nextCheck()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
			c.expireStaleUploads(ctx, c.store.Now())
			c.collectIfDue(ctx)
		}
		timer.Stop()
	}
}

// pause returns how long there is nothing to do, and what says that the schedule changed.
func (c *Collector) nextCheck() (time.Duration, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := checkInterval
	if next := c.next(); !next.IsZero() {
		wait = min(wait, max(0, time.Until(next)))
	}
	return wait, c.changed
}

// next returns when the schedule says that it is time; the zero time without one. A run that was missed because no server
// was there is made up for soon, but not while that begins. The caller has the lock.
func (c *Collector) next() time.Time {
	every := c.schedule.Every
	if every == 0 && c.schedule.MaxSize > 0 {
		every = sizeInterval
	}
	if every == 0 {
		return time.Time{}
	}
	next := c.started.Add(checkInterval)
	if !c.tried.IsZero() {
		next = c.tried.Add(checkInterval)
	}
	if last, ran := c.last[BySchedule]; ran && !last.Began.After(time.Now()) { // or the clock was wrong then
		if due := last.Began.Add(time.Duration(every)); due.After(next) {
			next = due
		}
	}
	return next
}

// collectIfDue collects if it is time for it or the disk is nearly full.
func (c *Collector) collectIfDue(ctx context.Context) {
	c.mu.Lock()
	next := c.next()
	due := !next.IsZero() && !time.Now().Before(next)
	if due {
		c.tried = time.Now()
	}
	c.mu.Unlock()
	if due {
		_, _ = c.run(ctx, BySchedule, c.Options(), nil) // what goes wrong is kept and logged
		return
	}
	opts, full := c.diskPressure()
	if full {
		_, _ = c.run(ctx, ByDisk, opts, nil)
	}
}

// pressed reports whether the disk is nearly full, and what to do then. Of the policy, all that it says of old things holds
// as well.
func (c *Collector) diskPressure() (opts Options, full bool) {
	opts = c.Options()
	if c.disk == nil || c.skipDiskCheck() {
		return opts, false
	}
	total, free, err := c.disk()
	if err != nil {
		c.log.Warn("cannot look how full the disk is", zap.Error(err))
		return opts, false
	}
	if opts.KeepFree.IsZero() {
		least := min(defaultKeepFree[0].Of(total), defaultKeepFree[1].Of(total))
		opts.KeepFree, opts.FreeUpTo = Share{Bytes: Size(least)}, Share{Bytes: Size(least / 5 * 7)}
	}
	return opts, free < opts.KeepFree.Of(total)
}

// skipDiskCheck reports whether a full disk is nobody's business, or nothing could be done about it a moment ago.
func (c *Collector) skipDiskCheck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schedule.NoGuard && c.schedule.KeepFree.IsZero() {
		return true
	}
	last, ran := c.last[ByDisk]
	vain := last.Bytes == 0 || last.Budget.Shortfall > 0 || last.Error != ""
	return ran && vain && mirror.Within(last.Began, time.Now(), diskBackoff)
}
