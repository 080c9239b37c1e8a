package mirror

import "context"

// StateStore keeps small facts of a mirror's own from one run to the next: its mode, its wants, the images that it has
// yet to complete. All of it may be used concurrently, and is durable when a method returns.
type StateStore interface {
	// State returns all notes of a kind by their key.
	State(ctx context.Context, kind string) (map[string][]byte, error)
	// SetState writes notes of a kind in one transaction; a nil value removes a note.
	SetState(ctx context.Context, kind string, notes map[string][]byte) error
}
