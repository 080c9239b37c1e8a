package events

import (
	"airmirror/mirror"
)

// A lane is a channel and a queue per endpoint for some of the actions. Changes have their own lane, because anybody
// can cause any number of pulls and wants. In each lane, a client has a share, see [mirror.Shares].
type lane int

const (
	reads lane = iota // pulls and wants
	changes
	lanes // number of lanes
)

// laneOf returns the lane of an action.
func laneOf(a Action) lane {
	if a == Pull || a == Want {
		return reads
	}
	return changes
}

// entry is a queued event: JSON without newlines.
type entry struct {
	event  []byte
	client string // the client that it counts for; "" for none
}

// sender returns the client whose share an event counts for; "" if no client caused it.
func (e *Event) sender() string {
	if e.Request.Addr == "" {
		return ""
	}
	return mirror.NetworkOf(e.Request.Addr).String()
}
