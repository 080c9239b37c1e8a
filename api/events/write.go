package events

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"airmirror/mirror"
)

const (
	// channelSize is the capacity of a lane's channel. writeBatchSize is how many events are written at a time.
	channelSize    = 8192
	writeBatchSize = 256
)

// record is an event and the repository that it is about.
type record struct {
	Event
	repo mirror.Repo
	done chan struct{} // closed when the event was written or dropped; nil if nobody waits
}

// isMarker reports whether the record is only to be waited for; see [Events.Sync].
func (h *record) isMarker() bool { return h.Action == "" }

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
func (e *Events) enqueue(h *record) {
	if !e.complete(h) {
		return
	}
	l, who := laneOf(h.Action), h.sender()
	if who != "" && !e.shares[l].Take(who, 1) {
		e.dropForAll(h, Share)
		return
	}
	select {
	case e.in[l] <- h:
	default:
		if who != "" {
			e.shares[l].Give(who, 1)
		}
		e.dropForAll(h, Overflow)
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

// enqueueWaiting queues an event. If the channel is full, it waits for the writer until ctx ends. It reports whether an
// endpoint wants the event.
func (e *Events) enqueueWaiting(ctx context.Context, h *record) bool {
	if !e.complete(h) {
		return false
	}
	l := laneOf(h.Action)
	if who := h.sender(); who != "" {
		e.shares[l].Force(who, 1) // writeBatch gives it back
	}
	select {
	case e.in[l] <- h:
		return true
	default:
	}
	select {
	case e.in[l] <- h:
		return true
	case <-ctx.Done():
	case <-e.stop:
	}
	if who := h.sender(); who != "" {
		e.shares[l].Give(who, 1)
	}
	e.dropForAll(h, Overflow)
	return false
}

// Sync waits until the changes that were queued before are on disk, or were dropped.
func (e *Events) Sync(ctx context.Context) {
	if e == nil || len(*e.sinks.Load()) == 0 {
		return
	}
	marker := &record{done: make(chan struct{})}
	select {
	case e.in[changes] <- marker:
		e.wait(marker)
	case <-ctx.Done():
	case <-e.stop:
	}
}

// wait waits until a record was written or dropped.
func (e *Events) wait(h *record) {
	select {
	case <-h.done:
	case <-e.wrote:
	}
}

// write writes events to the queues until stop is closed, and then what is left in the channels. Changes come first,
// because requests wait for them.
func (e *Events) write() {
	defer close(e.wrote)
	for {
		select {
		case h := <-e.in[changes]:
			e.writeBatch(changes, h)
			continue
		default:
		}
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
func (e *Events) writeBatch(l lane, first *record) {
	batch := []*record{first}
	for len(batch) < writeBatchSize && len(e.in[l]) > 0 {
		batch = append(batch, <-e.in[l])
	}
	sinks := *e.sinks.Load()
	entries := make([][]entry, len(sinks))
	for _, h := range batch {
		if h.isMarker() {
			continue
		}
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
	}
	var writes sync.WaitGroup // each queue has a disk write of its own to wait for
	for i, s := range sinks {
		if len(entries[i]) > 0 {
			writes.Go(func() { s.put(l, entries[i]) })
		}
	}
	writes.Wait()
	for _, h := range batch {
		if h.done != nil {
			close(h.done)
		}
	}
}
