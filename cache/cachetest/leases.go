package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airmirror/cache/backend"
	"airmirror/cache/lease"
	"airmirror/mirror"
)

// leaseTTL is the TTL of leases in the suite, by its own clock.
const leaseTTL = time.Minute

// Leases tests leases in an index. open opens two handles on an empty index, and the suite closes them.
func Leases(t *testing.T, open func(t *testing.T) (a, b backend.Index)) {
	for name, test := range map[string]func(*leaseTest){
		"Acquire": testLeaseAcquire, "Expire": testLeaseExpire, "OneHolder": testLeaseOneHolder, "OldNumber": testLeaseOldNumber,
		"LostAnswers": testLeaseLostAnswers, "Fence": testLeaseFence,
	} {
		t.Run(name, func(t *testing.T) {
			l := &leaseTest{t: t, ctx: t.Context()}
			l.a, l.b = open(t)
			defer func() { l.must(errors.Join(l.a.Close(), l.b.Close())) }()
			l.nodeA, l.nodeB = lease.New(l.a, l, "node-a"), lease.New(l.b, l, "node-b")
			test(l)
		})
	}
}

// leaseTest has two nodes with one index. It is the clock of the server, too.
type leaseTest struct {
	t            *testing.T
	ctx          context.Context
	a, b         backend.Index
	nodeA, nodeB *lease.Leases
	passed       atomic.Int64
}

// ServerTime implements [backend.Shared].
func (l *leaseTest) ServerTime(context.Context) (time.Time, error) {
	return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(l.passed.Load())), nil
}

func (l *leaseTest) pass(d time.Duration) { l.passed.Add(int64(d)) }

func (l *leaseTest) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *leaseTest) acquire(node *lease.Leases) lease.Lease {
	l.t.Helper()
	got, err := node.Acquire(l.ctx, "work", leaseTTL)
	l.must(err)
	return got
}

// taken fails the test unless a node cannot acquire the lease because holder has it.
func (l *leaseTest) taken(node *lease.Leases, holder string) {
	l.t.Helper()
	var taken *mirror.LeaseTakenError
	if _, err := node.Acquire(l.ctx, "work", leaseTTL); !errors.As(err, &taken) || taken.Node != holder || taken.Name != "work" {
		l.t.Errorf("Acquire returned %v, want that %s has the lease", err, holder)
	}
}

// lost fails the test unless err says that the lease was lost.
func (l *leaseTest) lost(err error) {
	l.t.Helper()
	if !errors.Is(err, lease.ErrLost) {
		l.t.Errorf("got %v, want that the lease was lost", err)
	}
}

// write writes to key of the table t, if the lease is still held.
func (l *leaseTest) write(x backend.Index, held lease.Lease, value string) error {
	return x.Update(l.ctx, lease.Locks(held, backend.Locks{Shared: []string{"key"}}), func(tx backend.WriteTx) error {
		if err := lease.Held(tx, held); err != nil {
			return err
		}
		return tx.Put("t", "key", []byte(value))
	})
}

func testLeaseAcquire(l *leaseTest) {
	first := l.acquire(l.nodeA)
	l.taken(l.nodeA, "node-a")
	l.taken(l.nodeB, "node-a")
	other, err := l.nodeB.Acquire(l.ctx, "other work", leaseTTL)
	l.must(err)
	l.must(l.nodeA.Release(l.ctx, first))
	l.must(l.nodeA.Release(l.ctx, first))
	l.lost(l.nodeA.Renew(l.ctx, first, leaseTTL))
	l.lost(l.write(l.a, first, "after its release"))
	second := l.acquire(l.nodeB)
	if second.Number <= first.Number {
		l.t.Errorf("the numbers are %d and then %d, want them to grow", first.Number, second.Number)
	}
	l.must(l.nodeA.Release(l.ctx, first)) // of a lease that is over
	l.taken(l.nodeA, "node-b")
	l.must(l.write(l.b, second, "second"))
	l.must(l.write(l.b, other, "other"))
}

func testLeaseExpire(l *leaseTest) {
	first := l.acquire(l.nodeA)
	l.pass(leaseTTL - 1)
	l.taken(l.nodeB, "node-a")
	l.must(l.nodeA.Renew(l.ctx, first, leaseTTL))
	l.pass(leaseTTL - 1)
	l.taken(l.nodeB, "node-a")
	l.pass(time.Hour)
	l.must(l.nodeA.Renew(l.ctx, first, leaseTTL)) // it was too late, and nobody noticed
	l.must(l.write(l.a, first, "first"))
	l.pass(leaseTTL)
	second := l.acquire(l.nodeB)
	if second.Number <= first.Number {
		l.t.Errorf("the numbers are %d and then %d, want them to grow", first.Number, second.Number)
	}
	l.lost(l.nodeA.Renew(l.ctx, first, leaseTTL))
	l.lost(l.write(l.a, first, "too late"))
	l.must(l.write(l.b, second, "second"))
}

// testLeaseOneHolder lets many compete for a lease on both nodes, each of which works a few times.
func testLeaseOneHolder(l *leaseTest) {
	const workers, each = 6, 5
	var holders, rounds atomic.Int64
	var numbers sync.Map
	var all sync.WaitGroup
	for worker := range workers {
		node := []*lease.Leases{l.nodeA, l.nodeB}[worker%2]
		all.Go(func() {
			for done := 0; done < each && rounds.Load() < workers*each; {
				held, err := node.Acquire(l.ctx, "work", leaseTTL)
				var taken *mirror.LeaseTakenError
				if errors.As(err, &taken) {
					continue
				}
				if err != nil {
					l.t.Errorf("acquire: %v", err)
					return
				}
				if n := holders.Add(1); n != 1 {
					l.t.Errorf("%d have the lease at the same time", n)
				}
				if _, known := numbers.LoadOrStore(held.Number, worker); known {
					l.t.Errorf("the number %d was given twice", held.Number)
				}
				done++
				rounds.Add(1)
				holders.Add(-1)
				if err := node.Release(l.ctx, held); err != nil {
					l.t.Errorf("release: %v", err)
				}
			}
		})
	}
	all.Wait()
}

// testLeaseOldNumber takes a lease over from a node that goes on writing.
func testLeaseOldNumber(l *leaseTest) {
	for range 5 {
		old := l.acquire(l.nodeA)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for {
					if err := l.write(l.a, old, "old"); err != nil {
						l.lost(err)
						return
					}
				}
			})
		}
		l.pass(leaseTTL)
		held := l.acquire(l.nodeB)
		l.must(l.write(l.b, held, "new"))
		all.Wait()
		if got := (indexTest{Index: l.b, t: l.t}).get("t", "key"); got != "new" {
			l.t.Errorf("the old holder wrote %q after the lease was taken over", got)
		}
		l.must(l.nodeB.Release(l.ctx, held))
	}
}

var errBroken = errors.New("the connection was lost")

// brokenIndex loses its connection in an update: before the commit, or after it.
type brokenIndex struct {
	backend.Index
	before, after bool
}

func (x *brokenIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	if x.before {
		x.before = false
		return errBroken
	}
	err := x.Index.Update(ctx, locks, f)
	if err == nil && x.after {
		x.after = false
		return fmt.Errorf("commit: %w", errBroken)
	}
	return err
}

func testLeaseLostAnswers(l *leaseTest) {
	x := &brokenIndex{Index: l.a}
	node := lease.New(x, l, "node-a")
	x.before = true
	if _, err := node.Acquire(l.ctx, "work", leaseTTL); !errors.Is(err, errBroken) {
		l.t.Errorf("Acquire without a connection returned %v", err)
	}
	x.after = true
	held := l.acquire(node)
	l.taken(l.nodeB, "node-a")
	for _, broken := range []*bool{&x.before, &x.after} {
		l.pass(leaseTTL / 2)
		*broken = true
		if err := node.Renew(l.ctx, held, leaseTTL); !errors.Is(err, errBroken) || errors.Is(err, lease.ErrLost) {
			l.t.Errorf("Renew without a connection returned %v", err)
		}
		l.must(node.Renew(l.ctx, held, leaseTTL))
	}
	l.pass(leaseTTL - 1)
	l.taken(l.nodeB, "node-a")
	l.must(l.write(l.a, held, "written"))
}

// testLeaseFence checks the updates of a function that a lease is for.
func testLeaseFence(l *leaseTest) {
	fenced := lease.Fence(l.a)
	put := func(ctx context.Context, locks backend.Locks, value string) error {
		return fenced.Update(ctx, locks, func(tx backend.WriteTx) error { return tx.Put("t", "key", []byte(value)) })
	}
	var old context.Context
	l.must(l.nodeA.Run(l.ctx, "work", func(ctx context.Context) error {
		l.taken(l.nodeB, "node-a")
		old = context.WithoutCancel(ctx)
		return errors.Join(put(ctx, backend.Locks{}, "alone"), put(ctx, backend.Locks{Shared: []string{"key"}}, "held"))
	}))
	for _, locks := range []backend.Locks{{}, {Shared: []string{"key"}}} {
		l.lost(put(old, locks, "after it was released"))
		l.must(l.nodeB.Run(l.ctx, "work", func(context.Context) error {
			l.lost(put(old, locks, "after another node has taken over"))
			return nil
		}))
	}
	if got := (indexTest{Index: l.b, t: l.t}).get("t", "key"); got != "held" {
		l.t.Errorf("the index has %q, want what was written while the lease was held", got)
	}
	l.must(put(l.ctx, backend.Locks{}, "without a lease"))
	wrong := errors.New("wrong")
	if err := l.nodeA.Run(l.ctx, "work", func(context.Context) error { return wrong }); err != wrong {
		l.t.Errorf("Run returned %v, want the error of the function", err)
	}
}
