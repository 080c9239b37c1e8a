// Package progress reports the progress of long work at intervals.
package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

// Interval is the minimum time between two reports.
const Interval = 100 * time.Millisecond

// Snapshot is the progress of the work at one time.
type Snapshot struct {
	Time    time.Time
	Total   int64 // bytes to process, as far as they are known yet
	Done    int64 // bytes processed
	Current string
}

// Reporter adds up the progress of all parts of a job, and reports it from a goroutine of its own, so that the work does
// not wait for the receiver. It implements [mirror.Progress]. It is safe for concurrent use.
type Reporter struct {
	mu      sync.Mutex // held while a snapshot is passed on
	report  func()
	total   atomic.Int64
	done    atomic.Int64
	current atomic.Value // string
	changed atomic.Bool  // since the last report

	stop    chan struct{}
	stopped chan struct{}
}

// New returns a reporter that calls report after the progress has changed, at most once in an [Interval]. The caller calls
// Close.
func New(report func()) *Reporter {
	r := &Reporter{report: report, stop: make(chan struct{}), stopped: make(chan struct{})}
	r.current.Store("")
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
			return
		case <-ticker.C:
			if r.changed.Swap(false) {
				r.report()
			}
		}
	}
}

// Close stops the reports. None is running or begins after Close has returned. The other methods still work.
func (r *Reporter) Close() {
	close(r.stop)
	<-r.stopped
}

// Report calls f with the current progress. It serializes the calls, so that no call receives less progress than an earlier
// one.
func (r *Reporter) Report(f func(Snapshot)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(Snapshot{Time: time.Now().UTC(), Total: r.total.Load(), Done: r.done.Load(), Current: r.current.Load().(string)})
}

// Expect implements [mirror.Progress].
func (r *Reporter) Expect(bytes int64) {
	r.total.Add(bytes)
	r.changed.Store(true)
}

// Did implements [mirror.Progress].
func (r *Reporter) Did(bytes int64) {
	if bytes != 0 {
		r.done.Add(bytes)
		r.changed.Store(true)
	}
}

// Doing implements [mirror.Progress].
func (r *Reporter) Doing(what string) {
	r.current.Store(what)
	r.changed.Store(true)
}
