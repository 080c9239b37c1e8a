package migrate

import (
	"sync"
	"sync/atomic"
	"time"
)

// progressInterval is how long there is between two events of progress, at least.
const progressInterval = 100 * time.Millisecond

// reporter tells about progress now and then, from a goroutine of its own: who works does not wait for whoever listens.
// It is a [mirror.Progress].
type reporter struct {
	mu    sync.Mutex // held while out is called
	out   func(Event)
	total atomic.Int64
	done  atomic.Int64
	doing atomic.Value // string
	news  atomic.Bool  // something changed since progress was told

	stop    chan struct{}
	stopped chan struct{}
}

func newReporter(out func(Event)) *reporter {
	r := &reporter{out: out, stop: make(chan struct{}), stopped: make(chan struct{})}
	r.doing.Store("")
	go r.run()
	return r
}

func (r *reporter) run() {
	defer close(r.stopped)
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			if r.news.Swap(false) {
				r.tell(Event{Kind: KindProgress, Doing: r.doing.Load().(string)})
			}
		}
	}
}

// close ends the telling about progress.
func (r *reporter) close() {
	close(r.stop)
	<-r.stopped
}

// tell completes an event and passes it on.
func (r *reporter) tell(event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	event.Time = time.Now().UTC()
	if event.Kind == KindProgress || event.Kind == KindDone {
		event.Done, event.Total = r.done.Load(), r.total.Load()
	}
	r.out(event)
}

// Expect implements [mirror.Progress].
func (r *reporter) Expect(bytes int64) {
	r.total.Add(bytes)
	r.news.Store(true)
}

// Did implements [mirror.Progress].
func (r *reporter) Did(bytes int64) {
	r.done.Add(bytes)
	r.news.Store(true)
}

// Doing implements [mirror.Progress].
func (r *reporter) Doing(what string) {
	r.doing.Store(what)
	r.news.Store(true)
}
