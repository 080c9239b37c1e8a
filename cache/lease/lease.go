// Package lease decides which one of several nodes does something. A lease is a record in the index that the nodes share: it
// says who has it until when. Whoever acquires a lease gets a number that is greater than all before.
//
// All times are those of the server that has the index. A node reads that time before its transaction, so a lease never
// ends earlier for another node than for the one that has it. An own measure of the time that passes on the node ends its
// work when it could not renew the lease in time.
//
// That is not enough for a node that stops for a while, or whose connection hangs: it may write after another one has taken
// over. So each of its updates checks the number, in its transaction and under the lock of the lease. See [Held] and [Fence].
package lease

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Table is the table of the index with the leases: name → record.
const Table backend.Table = "leases"

// ErrLost is the error for a lease that has expired or that somebody else has taken over.
var ErrLost = errors.New("the lease was lost")

// Lease is a lease that somebody acquired.
type Lease struct {
	Name   string
	Number int64 // greater than those of all earlier leases of this name
}

// Leases acquires leases for one node. It is safe for concurrent use.
type Leases struct {
	index backend.Index
	clock backend.Shared
	node  string
}

// New returns the leases of an index. The node is named in messages.
func New(index backend.Index, clock backend.Shared, node string) *Leases {
	return &Leases{index: index, clock: clock, node: node}
}

// record is the last lease of a name.
type record struct {
	Number int64     `json:"number"`
	Node   string    `json:"node"`
	Holder string    `json:"holder,omitempty"` // identifies the call of Acquire; "" after Release
	Until  time.Time `json:"until"`
}

func readRecord(tx backend.ReadTx, name string) (r record, err error) {
	if value := tx.Get(Table, name); value != nil {
		if err := json.Unmarshal(value, &r); err != nil {
			return r, fmt.Errorf("read lease %s: %w", name, err)
		}
	}
	return r, nil
}

func writeRecord(tx backend.WriteTx, name string, r record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Put(Table, name, value)
}

// lockName is the name of the lock that covers a lease. Who writes the record has it exclusively.
func lockName(name string) string { return "lease " + name }

// Acquire acquires a lease for a time. It returns a [*mirror.LeaseTakenError] while somebody has it.
func (l *Leases) Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error) {
	now, err := l.clock.ServerTime(ctx)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	next := record{Node: l.node, Holder: rand.Text(), Until: now.Add(ttl)}
	err = l.update(ctx, name, func(tx backend.WriteTx, last record) error {
		if last.Holder != "" && now.Before(last.Until) {
			return &mirror.LeaseTakenError{Name: name, Node: last.Node}
		}
		next.Number = last.Number + 1
		return writeRecord(tx, name, next)
	})
	var taken *mirror.LeaseTakenError
	if err != nil && !errors.As(err, &taken) && l.holds(ctx, name, next.Holder) {
		err = nil // the answer to the commit was lost
	}
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return Lease{Name: name, Number: next.Number}, nil
}

// holds reports whether a call of Acquire has the lease.
func (l *Leases) holds(ctx context.Context, name, holder string) (holds bool) {
	err := l.index.View(ctx, func(tx backend.ReadTx) error {
		r, err := readRecord(tx, name)
		holds = r.Holder == holder
		return err
	})
	return err == nil && holds
}

// Renew extends a lease to a time from now. It may be called again after an error. It returns [ErrLost] if somebody else has
// acquired the lease; if nobody has, an expired lease is renewed.
func (l *Leases) Renew(ctx context.Context, lease Lease, ttl time.Duration) error {
	now, err := l.clock.ServerTime(ctx)
	if err == nil {
		err = l.update(ctx, lease.Name, func(tx backend.WriteTx, last record) error {
			if err := last.held(lease); err != nil {
				return err
			}
			if until := now.Add(ttl); until.After(last.Until) {
				last.Until = until
			}
			return writeRecord(tx, lease.Name, last)
		})
	}
	if err != nil {
		return fmt.Errorf("renew lease %s: %w", lease.Name, err)
	}
	return nil
}

// Release ends a lease. A lease that was lost is no error.
func (l *Leases) Release(ctx context.Context, lease Lease) error {
	err := l.update(ctx, lease.Name, func(tx backend.WriteTx, last record) error {
		if last.held(lease) != nil {
			return nil
		}
		last.Holder = ""
		return writeRecord(tx, lease.Name, last)
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", lease.Name, err)
	}
	return nil
}

func (l *Leases) update(ctx context.Context, name string, f func(tx backend.WriteTx, last record) error) error {
	return l.index.Update(ctx, backend.Locks{Exclusive: []string{lockName(name)}}, func(tx backend.WriteTx) error {
		last, err := readRecord(tx, name)
		if err != nil {
			return err
		}
		return f(tx, last)
	})
}

// held returns nil if the record is that of the lease, and otherwise [ErrLost].
func (r record) held(lease Lease) error {
	switch {
	case r.Number == lease.Number && r.Holder != "":
		return nil
	case r.Number == lease.Number:
		return fmt.Errorf("%w: it was released", ErrLost)
	}
	return fmt.Errorf("%w: node %s has taken over", ErrLost, r.Node)
}
