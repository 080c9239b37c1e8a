package mirror

import (
	"context"
	"fmt"
)

// Leases say which one of the nodes that use a store does what only one at a time should do.
type Leases interface {
	// Run calls f if no other caller, on this node or another one, has the lease, and returns the error of f. Otherwise it
	// returns a [*LeaseTakenError] without calling f. The context of f ends when the lease is lost. From then on the store
	// refuses what is written with that context.
	Run(ctx context.Context, name string, f func(ctx context.Context) error) error
}

// LeaseTakenError is the error for a lease that somebody else has.
type LeaseTakenError struct {
	Name string
	Node string // who has it
}

func (e *LeaseTakenError) Error() string {
	return fmt.Sprintf("node %s has the lease %s", e.Node, e.Name)
}

// Alone are the [Leases] of a store that belongs to one process.
type Alone struct{}

// Run implements [Leases]. It calls f.
func (Alone) Run(ctx context.Context, _ string, f func(ctx context.Context) error) error {
	return f(ctx)
}
