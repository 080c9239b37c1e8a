package lease

import (
	"context"
	"slices"

	"airmirror/cache/backend"
)

// Held returns nil if nobody has acquired the lease since, and otherwise [ErrLost]. If tx writes, its update must have declared
// the lock that [Locks] adds: then nobody acquires the lease before it is committed.
func Held(tx backend.ReadTx, lease Lease) error {
	r, err := readRecord(tx, lease.Name)
	if err != nil {
		return err
	}
	return r.held(lease)
}

// Locks adds the lock of a lease to those of an update, which checks [Held].
func Locks(lease Lease, locks backend.Locks) backend.Locks {
	if len(locks.Shared)+len(locks.Exclusive) > 0 { // otherwise it runs alone
		locks.Shared = append(slices.Clip(locks.Shared), lockName(lease.Name))
	}
	return locks
}

// Fence returns an index whose updates fail with [ErrLost] if their context is that of a lease that was lost, see [Leases.Run].
// Other updates are not affected.
func Fence(index backend.Index) backend.Index { return fence{index} }

type fence struct{ backend.Index }

// Update implements [backend.Index].
func (x fence) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	lease, fenced := ctx.Value(contextKey{}).(Lease)
	if !fenced {
		return x.Index.Update(ctx, locks, f)
	}
	return x.Index.Update(ctx, Locks(lease, locks), func(tx backend.WriteTx) error {
		if err := Held(tx, lease); err != nil {
			return err
		}
		return f(tx)
	})
}

// contextKey is the key of the lease in the context of a function that [Leases.Run] calls.
type contextKey struct{}
