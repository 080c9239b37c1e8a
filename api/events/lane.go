package events

import (
	"airmirror/mirror"
)

// A lane is a way through the memory and into a queue of its own for each endpoint. What changes something has one, and
// what anybody can cause, by pulling or asking, has the other: no number of pulls has a push forgotten. In each lane a
// client has a share, see [mirror.Shares].
type lane int

const (
	others lane = iota // pulls and wants
	changes
	lanes // how many there are
)

// laneOf is the lane of an action.
func laneOf(a Action) lane {
	if a == Pull || a == Want {
		return others
	}
	return changes
}

// suffix is what the names of a lane's files end in.
func (l lane) suffix() string {
	if l == changes {
		return ".changes" + segmentSuffix
	}
	return segmentSuffix
}

// position is the name of the file that says how much of the oldest was taken off.
func (l lane) position() string {
	if l == changes {
		return positionName + ".changes"
	}
	return positionName
}

// entry is what happened, as it goes into a queue: JSON without a line break.
type entry struct {
	line   []byte
	client string // whose share it is part of; "" for none
}

// sender is the client whose share an event is part of; "" if it was caused by none.
func (e *Event) sender() string {
	if e.Request.Addr == "" {
		return ""
	}
	return mirror.NetworkOf(e.Request.Addr).String()
}
