// Package progress tells about long work now and then, whatever the work is: how far it is and what is being done.
package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

// Interval is how long there is between two reports, at least.
const Interval = 100 * time.Millisecond

// Now is how far work is.
type Now struct {
	Time  time.Time
	Total int64 // bytes that there are to do, as far as is known
	Done  int64 // bytes that are done
	Doing string
}

// Reporter tells about progress from a goroutine of its own, so that the work does not wait for whoever listens. It is
// the [mirror.Progress] of all parts of the work together. It is made by [New].
type Reporter struct {
	mu     sync.Mutex // held while somebody is told something
	report func()
	total  atomic.Int64
	done   atomic.Int64
	doing  atomic.Value // string
	news   atomic.Bool  // something changed since that was reported

	stop    chan struct{}
	stopped chan struct{}
}

// New returns a reporter that calls report when something has changed; report asks by [Reporter.Tell] what that is.
func New(report func()) *Reporter {
	r := &Reporter{report: report, stop: make(chan struct{}), stopped: make(chan struct{})}
	r.doing.Store("")
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
			if r.news.Swap(false) {
				r.report()
			}
		}
	}
}

func (r *Reporter) now() Now {
	return Now{Time: time.Now().UTC(), Total: r.total.Load(), Done: r.done.Load(), Doing: r.doing.Load().(string)}
}

// Close ends the reports; none comes after it has returned. [Reporter.Tell] works as before.
func (r *Reporter) Close() {
	close(r.stop)
	<-r.stopped
}

// Tell calls f with how far the work is: for one caller at a time, and never with less than the last one was told.
func (r *Reporter) Tell(f func(Now)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.now())
}

// Expect implements [mirror.Progress].
func (r *Reporter) Expect(bytes int64) {
	r.total.Add(bytes)
	r.news.Store(true)
}

// Did implements [mirror.Progress].
func (r *Reporter) Did(bytes int64) {
	if bytes != 0 {
		r.done.Add(bytes)
		r.news.Store(true)
	}
}

// Doing implements [mirror.Progress].
func (r *Reporter) Doing(what string) {
	r.doing.Store(what)
	r.news.Store(true)
}
