package metrics

import "airmirror/api/events"

var (
	eventsQueued    = desc("events_queued_total", "Events written to the queue of an endpoint.", "endpoint")
	eventsDelivered = desc("events_delivered_total", "Events delivered to an endpoint.", "endpoint")
	eventsDropped   = desc("events_dropped_total", "Events that were not and will not be delivered, by reason: full, overflow, disk, unreadable, refused, share.", "endpoint", "reason")
	eventsFailures  = desc("events_delivery_failures_total", "Failed attempts to deliver events.", "endpoint")
	eventsWaiting   = desc("events_waiting", "Events in the queue of an endpoint.", "endpoint")
	eventsBytes     = desc("events_waiting_bytes", "Size of the events in the queue of an endpoint, in bytes.", "endpoint")
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
