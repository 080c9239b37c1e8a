package gc

import (
	"context"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Serve runs collections by schedule and when the disk is nearly full, deletes stale uploads, and takes a [Sample] a day,
// until ctx ends.
// Call it once.
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
			c.sampleIfDue(ctx)
		}
		timer.Stop()
	}
}

// nextCheck returns how long to wait before the next check, and a channel that is closed when the schedule changes.
func (c *Collector) nextCheck() (time.Duration, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := checkInterval
	if next := c.next(); !next.IsZero() {
		wait = min(wait, max(0, next.Sub(c.now())))
	}
	return wait, c.changed
}

// next returns when the schedule starts the next run, or the zero time without a schedule. A run that was missed while
// no server ran starts late, but not within [checkInterval] of the start of the server. The caller holds c.mu.
func (c *Collector) next() time.Time {
	every := c.schedule.Interval
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
	if last, ran := c.last[BySchedule]; ran && !last.Began.After(c.now()) { // a start in the future was recorded by a wrong clock
		if due := last.Began.Add(time.Duration(every)); due.After(next) {
			next = due
		}
	}
	return next
}

// collectIfDue runs a collection if it is due or the disk is nearly full.
func (c *Collector) collectIfDue(ctx context.Context) {
	c.refresh(ctx)
	c.mu.Lock()
	next, now := c.next(), c.now()
	due := !next.IsZero() && !now.Before(next)
	if due {
		c.tried = now
	}
	c.mu.Unlock()
	if due {
		_, _ = c.run(ctx, BySchedule, c.Options(), nil) // run stores and logs errors
		return
	}
	opts, full := c.diskPressure()
	if full {
		_, _ = c.run(ctx, ByDisk, opts, nil)
	}
}

// diskPressure reports whether the disk is nearly full, and returns the options of a run that frees it. The run
// follows the configured policy as well.
func (c *Collector) diskPressure() (opts Options, full bool) {
	opts = c.Options()
	if c.disk == nil || c.skipDiskCheck() {
		return opts, false
	}
	total, free, err := c.disk()
	if err != nil {
		c.log.Warn("cannot read the free space of the disk", zap.Error(err))
		return opts, false
	}
	if opts.KeepFree.IsZero() {
		least := min(defaultKeepFree[0].Of(total), defaultKeepFree[1].Of(total))
		opts.KeepFree, opts.FreeUpTo = Share{Bytes: Size(least)}, Share{Bytes: Size(least / 5 * 7)}
	}
	return opts, free < opts.KeepFree.Of(total)
}

// skipDiskCheck reports whether to start no run for a full disk: because the configuration disables such runs, or
// because one failed to free enough less than [diskBackoff] ago.
func (c *Collector) skipDiskCheck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.schedule.IgnoreLowDisk && c.schedule.KeepFree.IsZero() {
		return true
	}
	last, ran := c.last[ByDisk]
	failed := last.Bytes == 0 || last.Budget.Shortfall > 0 || last.Error != ""
	return ran && failed && mirror.Within(last.Began, c.now(), diskBackoff)
}
