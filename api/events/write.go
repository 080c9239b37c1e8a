package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

const (
	// inMemory is how many events wait for the writer at the most, and batchWritten how many it writes at a time.
	inMemory     = 8192
	batchWritten = 256
	// syncEvery is how long what was written may be in the hands of the system only.
	syncEvery = time.Second
)

// wanted reports whether there is an endpoint for an event, and completes it.
func (e *Events) wanted(h *happened) bool {
	h.Target.Repository = e.opts.Names().Served(h.repo)
	if !slices.ContainsFunc(*e.sinks.Load(), func(s *sink) bool { return s.wants(h.Action, &h.Target, h.repo) }) {
		return false
	}
	h.ID, h.Source, h.Target.Length = uuid.NewString(), e.source, h.Target.Size
	h.Timestamp = cmp.Or(h.Timestamp, time.Now()).UTC()
	return true
}

// tell queues an event without waiting.
func (e *Events) tell(h happened) {
	if !e.wanted(&h) {
		return
	}
	select {
	case e.in <- h:
	default:
		for _, s := range *e.sinks.Load() {
			if s.wants(h.Action, &h.Target, h.repo) {
				s.drop(1, Overflow, nil)
			}
		}
	}
}

// tellWaiting queues an event, and waits for the disk if it must.
func (e *Events) tellWaiting(ctx context.Context, h happened) {
	if !e.wanted(&h) {
		return
	}
	select {
	case e.in <- h:
	case <-ctx.Done():
		e.tell(h)
	case <-e.stop:
	}
}

// write writes events into queues until stop, and then what is left.
func (e *Events) write() {
	defer close(e.wrote)
	var due <-chan time.Time // when queues are brought to the disk
	for {
		select {
		case h := <-e.in:
			e.writeBatch(h)
			if due == nil {
				due = time.After(syncEvery)
			}
		case <-due:
			due = nil
			e.syncAll()
		case <-e.stop:
			for len(e.in) > 0 {
				e.writeBatch(<-e.in)
			}
			e.syncAll()
			return
		}
	}
}

// writeBatch writes an event, and those that wait behind it.
func (e *Events) writeBatch(first happened) {
	sinks := *e.sinks.Load()
	lines := make([][][]byte, len(sinks))
	for h, n := first, 1; ; n++ {
		line, err := json.Marshal(h.Event)
		for i, s := range sinks {
			if s.wants(h.Action, &h.Target, h.repo) && err == nil {
				lines[i] = append(lines[i], line)
			}
		}
		if n == batchWritten || len(e.in) == 0 {
			break
		}
		h = <-e.in
	}
	for i, s := range sinks {
		if len(lines[i]) > 0 {
			s.put(lines[i])
		}
	}
}

func (e *Events) syncAll() {
	var failed error
	for _, s := range *e.sinks.Load() {
		failed = errors.Join(failed, s.queue.sync())
	}
	if failed != nil {
		e.opts.Log.Error("queues of events may not outlive a power failure", zap.Error(failed))
	}
}
