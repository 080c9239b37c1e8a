package metrics

import "airmirror/api/events"

var (
	eventsQueued    = desc("events_queued_total", "Events that were put into the queue of an endpoint.", "endpoint")
	eventsDelivered = desc("events_delivered_total", "Events that an endpoint has taken.", "endpoint")
	eventsDropped   = desc("events_dropped_total", "Events that an endpoint will not get, by reason: full, overflow, disk, unreadable, refused, share.", "endpoint", "reason")
	eventsFailures  = desc("events_failures_total", "Attempts to deliver events that failed.", "endpoint")
	eventsWaiting   = desc("events_waiting", "Events in the queue of an endpoint.", "endpoint")
	eventsBytes     = desc("events_waiting_bytes", "Size of the queue of an endpoint.", "endpoint")
)

func (e emitter) events(all []events.Status) {
	for _, s := range all {
		e.counter(eventsQueued, s.Queued, s.Name)
		e.counter(eventsDelivered, s.Delivered, s.Name)
		e.counter(eventsFailures, s.Failed, s.Name)
		for reason, n := range s.Dropped {
			e.counter(eventsDropped, n, s.Name, reason)
		}
		e.gauge(eventsWaiting, float64(s.Waiting), s.Name)
		e.gauge(eventsBytes, float64(s.Bytes), s.Name)
	}
}
