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
	// inMemory is how many events of a lane wait for the writer at the most, and batchWritten how many it writes at a time.
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
	l, who := laneOf(h.Action), h.sender()
	if who != "" && !e.shares[l].Take(who, 1) {
		e.lose(&h, Share)
		return
	}
	select {
	case e.in[l] <- h:
	default:
		if who != "" {
			e.shares[l].Give(who, 1)
		}
		e.lose(&h, Overflow)
	}
}

// lose counts an event that no endpoint gets.
func (e *Events) lose(h *happened, reason string) {
	for _, s := range *e.sinks.Load() {
		if s.wants(h.Action, &h.Target, h.repo) {
			s.drop(1, reason, nil)
		}
	}
}

// tellWaiting queues an event that no client sent, and waits for the disk if it must.
func (e *Events) tellWaiting(ctx context.Context, h happened) {
	if !e.wanted(&h) {
		return
	}
	select {
	case e.in[laneOf(h.Action)] <- h:
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
		case h := <-e.in[changes]:
			e.writeBatch(changes, h)
		case h := <-e.in[others]:
			e.writeBatch(others, h)
		case <-due:
			due = nil
			e.syncAll()
			continue
		case <-e.stop:
			for l := range lanes {
				for len(e.in[l]) > 0 {
					e.writeBatch(l, <-e.in[l])
				}
			}
			e.syncAll()
			return
		}
		if due == nil {
			due = time.After(syncEvery)
		}
	}
}

// writeBatch writes an event of a lane, and those that wait behind it.
func (e *Events) writeBatch(l lane, first happened) {
	sinks := *e.sinks.Load()
	entries := make([][]entry, len(sinks))
	for h, n := first, 1; ; n++ {
		line, err := json.Marshal(h.Event)
		who := h.sender()
		if who != "" {
			e.shares[l].Give(who, 1)
		}
		for i, s := range sinks {
			if s.wants(h.Action, &h.Target, h.repo) && err == nil {
				entries[i] = append(entries[i], entry{line, who})
			}
		}
		if n == batchWritten || len(e.in[l]) == 0 {
			break
		}
		h = <-e.in[l]
	}
	for i, s := range sinks {
		if len(entries[i]) > 0 {
			s.put(l, entries[i])
		}
	}
}

func (e *Events) syncAll() {
	var failed error
	for _, s := range *e.sinks.Load() {
		for _, q := range s.queues {
			failed = errors.Join(failed, q.sync())
		}
	}
	if failed != nil {
		e.opts.Log.Error("queues of events may not outlive a power failure", zap.Error(failed))
	}
}
