// Package progress reports the progress of long work at intervals.
package progress

import (
	"sync"
	"time"
)

// Interval is the minimum time between two reports.
const Interval = 100 * time.Millisecond

// Snapshot is the progress of work at one time. All numbers only grow; the totals may grow while the work finds more to do.
type Snapshot struct {
	// Done and Total are bytes. Bytes that need no transfer are counted as done.
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// Items and TotalItems count images of a sync, repositories of a migration, and images of an export or import. They
	// are zero for other work.
	Items      int `json:"items,omitempty"`
	TotalItems int `json:"totalItems,omitempty"`
	// Current says what the work is at.
	Current string `json:"current,omitempty"`
}

// Reporter adds up the progress of all parts of a job, and reports it from a goroutine of its own, so that the work does
// not wait for the receiver. It implements [mirror.Progress]. It is safe for concurrent use. The zero value counts, and
// reports nothing.
type Reporter struct {
	mu      sync.Mutex
	now     Snapshot
	changed bool // since the last report

	report        func(Snapshot)
	stop, stopped chan struct{}
}

// New returns a reporter that calls report after the progress has changed, at most once in an [Interval] and never
// concurrently. The caller calls Close.
func New(report func(Snapshot)) *Reporter {
	r := &Reporter{report: report, stop: make(chan struct{}), stopped: make(chan struct{})}
	go r.run()
	return r
}

func (r *Reporter) run() {
	defer close(r.stopped)
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			r.reportChange()
			return
		case <-ticker.C:
			r.reportChange()
		}
	}
}

func (r *Reporter) reportChange() {
	r.mu.Lock()
	now, changed := r.now, r.changed
	r.changed = false
	r.mu.Unlock()
	if changed {
		r.report(now)
	}
}

// Close reports the progress a last time if it has changed. No report is running or begins after Close has returned. The
// other methods still work. Close must not be called on a zero value.
func (r *Reporter) Close() {
	close(r.stop)
	<-r.stopped
}

// Snapshot returns the current progress.
func (r *Reporter) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// AddTotal implements [mirror.Progress].
func (r *Reporter) AddTotal(bytes int64) { r.change(func(now *Snapshot) { now.Total += bytes }) }

// AddDone implements [mirror.Progress].
func (r *Reporter) AddDone(bytes int64) { r.change(func(now *Snapshot) { now.Done += bytes }) }

// SetCurrent implements [mirror.Progress].
func (r *Reporter) SetCurrent(what string) { r.change(func(now *Snapshot) { now.Current = what }) }

// AddTotalItems adds to the total number of items.
func (r *Reporter) AddTotalItems(n int) { r.change(func(now *Snapshot) { now.TotalItems += n }) }

// AddItem adds to the number of items that are done.
func (r *Reporter) AddItem() { r.change(func(now *Snapshot) { now.Items++ }) }

func (r *Reporter) change(f func(now *Snapshot)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.now
	f(&r.now)
	r.changed = r.changed || r.now != before
}
