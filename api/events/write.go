package events

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// channelSize is the capacity of a lane's channel. writeBatchSize is how many events are written at a time.
	channelSize    = 8192
	writeBatchSize = 256
)

// complete fills in an event. It returns false if no endpoint wants it.
func (e *Events) complete(h *record) bool {
	h.Target.Repository = e.opts.Names().Served(h.repo)
	if !slices.ContainsFunc(*e.sinks.Load(), func(s *sink) bool { return s.accepts(h.Action, &h.Target, h.repo) }) {
		return false
	}
	h.ID, h.Source, h.Target.Length = uuid.NewString(), e.source, h.Target.Size
	h.Timestamp = cmp.Or(h.Timestamp, time.Now()).UTC()
	return true
}

// enqueue queues an event without waiting.
func (e *Events) enqueue(h record) {
	if !e.complete(&h) {
		return
	}
	l, who := laneOf(h.Action), h.sender()
	if who != "" && !e.shares[l].Take(who, 1) {
		e.dropForAll(&h, Share)
		return
	}
	select {
	case e.in[l] <- h:
	default:
		if who != "" {
			e.shares[l].Give(who, 1)
		}
		e.dropForAll(&h, Overflow)
	}
}

// dropForAll counts an event as dropped for every endpoint that wants it.
func (e *Events) dropForAll(h *record, reason string) {
	for _, s := range *e.sinks.Load() {
		if s.accepts(h.Action, &h.Target, h.repo) {
			s.drop(1, reason, nil)
		}
	}
}

// enqueueWaiting queues an event that no client caused. If the channel is full, it waits.
func (e *Events) enqueueWaiting(ctx context.Context, h record) {
	if !e.complete(&h) {
		return
	}
	select {
	case e.in[laneOf(h.Action)] <- h:
	case <-ctx.Done():
		e.enqueue(h)
	case <-e.stop:
	}
}

// write writes events to the queues until stop is closed, and then what is left in the channels.
func (e *Events) write() {
	defer close(e.wrote)
	for {
		select {
		case h := <-e.in[changes]:
			e.writeBatch(changes, h)
		case h := <-e.in[reads]:
			e.writeBatch(reads, h)
		case <-e.stop:
			for l := range lanes {
				for len(e.in[l]) > 0 {
					e.writeBatch(l, <-e.in[l])
				}
			}
			return
		}
	}
}

// writeBatch writes an event and those that wait behind it in the lane.
func (e *Events) writeBatch(l lane, first record) {
	sinks := *e.sinks.Load()
	entries := make([][]entry, len(sinks))
	for h, n := first, 1; ; n++ {
		line, err := json.Marshal(h.Event)
		who := h.sender()
		if who != "" {
			e.shares[l].Give(who, 1)
		}
		for i, s := range sinks {
			if s.accepts(h.Action, &h.Target, h.repo) && err == nil {
				entries[i] = append(entries[i], entry{line, who})
			}
		}
		if n == writeBatchSize || len(e.in[l]) == 0 {
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
