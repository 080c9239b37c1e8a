package mirror

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// StateStore stores the state of the mirror itself between runs: its mode, its wants, its pins, the images that are still to
// be completed. It may be used concurrently. Changes are durable when a method returns.
type StateStore interface {
	// State returns all records of a kind by their keys.
	State(ctx context.Context, kind string) (map[string][]byte, error)
	// SetState writes records of a kind in one transaction. A nil value deletes a record.
	SetState(ctx context.Context, kind string, records map[string][]byte) error
	// ChangeState calls change with all records of a kind, and writes the records that it returns like SetState, in one
	// transaction: no other change of the kind comes in between. change may be called more than once, and must have no
	// effects except on variables that it resets each time. If it fails, ChangeState returns its error and writes nothing.
	ChangeState(ctx context.Context, kind string, change func(records map[string][]byte) (map[string][]byte, error)) error
}

// PinState is the kind of the records that are pins, see [StateStore]. The key is a [Ref.String]. A pinned tag protects
// whatever it points at.
const PinState = "pin"

// Pin protects a reference, and the image that it points at, from the collector.
type Pin struct {
	Ref    string        `json:"reference"`        // as [Ref.String] writes it
	Digest digest.Digest `json:"digest,omitempty"` // what it points at now; "" if it is not stored
	Since  time.Time     `json:"since,omitzero"`
}
