package admin

import (
	"context"
	"encoding/json"
	"sync"
)

// maxJobLog is how many bytes of events a job keeps.
const maxJobLog = 1 << 20

// jobLog keeps the latest events of a job for any number of watchers. Items and the summary are numbered from 1. Of the
// progress only the latest is kept, without a number. It is safe for concurrent use.
type jobLog struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil if nobody waits
	kept    [][]byte      // events as JSON; the last one has the number last
	size    int           // bytes in kept
	last    int64
	// progress is the latest progress, version counts its changes, and progressAfter is the last event before it.
	progress      *Progress
	progressLine  []byte
	version       int64
	progressAfter int64
	// read is the last event that the owner of the job has received. An event that the owner has not received is not
	// dropped: the job waits. It is -1 for a job without an owner.
	read  int64
	ended bool
}

// add appends an event. It drops the oldest events if there are too many, or waits for the owner until ctx ends.
func (l *jobLog) add(ctx context.Context, e Event) {
	text := encode(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind == KindProgress {
		l.progress, l.progressLine, l.progressAfter = e.Progress, text, l.last
		l.version++
		l.wake()
		return
	}
	for len(l.kept) > 0 && l.size+len(text) > maxJobLog {
		if oldest := l.last - int64(len(l.kept)) + 1; l.read >= 0 && oldest > l.read && ctx.Err() == nil {
			l.wait(ctx)
			continue
		}
		l.size -= len(l.kept[0])
		l.kept[0] = nil
		l.kept = l.kept[1:]
	}
	l.kept = append(l.kept, text)
	l.size += len(text)
	l.last++
	l.wake()
}

// wait unlocks l.mu until the log changes or ctx ends.
func (l *jobLog) wait(ctx context.Context) {
	changed := l.waiter()
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// waiter returns a channel that is closed at the next change. The caller holds l.mu.
func (l *jobLog) waiter() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// wake wakes everybody who waits for a change. The caller holds l.mu.
func (l *jobLog) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// received records that the owner has received all events up to a number.
func (l *jobLog) received(last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.read >= 0 && last > l.read {
		l.read = last
		l.wake()
	}
}

// end marks the log as complete.
func (l *jobLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake()
}

// drop forgets the events of a log that has ended.
func (l *jobLog) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.size = nil, 0
}

// usage returns the number of bytes in the log, and the latest progress.
func (l *jobLog) usage() (size int, p *Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size, l.progress
}

// logPosition is how far a watcher has read a log.
type logPosition struct {
	last    int64 // number of the last event
	version int64 // of the progress
}

// logBatch is what a watcher has not read.
type logBatch struct {
	dropped int64           // events that are not kept any more
	lines   []numberedLine  // events and progress in order
	next    logPosition     // after the batch
	ended   bool            // nothing follows
	whole   bool            // the position is that of the last event
	changed <-chan struct{} // closed when there is more
}

// numberedLine is an event as JSON. The number is 0 for progress.
type numberedLine struct {
	number int64
	text   json.RawMessage
}

// maxBatch is the maximum number of events in a batch.
const maxBatch = 256

// after returns what follows a position.
func (l *jobLog) after(at logPosition) (b logBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.last - int64(len(l.kept)) + 1
	from := min(max(at.last+1, first), l.last+1)
	b.dropped, b.next = max(0, from-at.last-1), at
	news := l.version > at.version
	progress := func() {
		b.lines = append(b.lines, numberedLine{text: l.progressLine})
		b.next.version, news = l.version, false
	}
	for n := from; n <= l.last && len(b.lines) < maxBatch; n++ {
		if news && n > l.progressAfter {
			progress()
		}
		b.lines = append(b.lines, numberedLine{n, l.kept[n-first]})
	}
	b.next.last = max(at.last, from-1)
	if n := len(b.lines); n > 0 && b.lines[n-1].number > 0 {
		b.next.last = b.lines[n-1].number
	}
	if news && b.next.last >= l.progressAfter {
		progress()
	}
	if b.next.last >= l.last { // it is later if the watcher knows the job from an earlier process
		b.ended = l.ended
	}
	b.whole = at.last == l.last
	b.changed = l.waiter()
	return b
}
