package cache_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
	"airmirror/cache/lease"
	"airmirror/mirror"
)

// sharedIndex is an index in this process that several stores use.
type sharedIndex struct {
	backend.Index
	stores *atomic.Int64
}

func (x sharedIndex) ServerTime(context.Context) (time.Time, error) { return time.Now(), nil }

func (x sharedIndex) Close() error {
	if x.stores.Add(-1) > 0 {
		return nil
	}
	return x.Index.Close()
}

func openShared(t *testing.T, stores int) sharedIndex {
	t.Helper()
	x := sharedIndex{openBolt(t, t.TempDir()), new(atomic.Int64)}
	x.stores.Store(int64(stores))
	return x
}

// machineClock implements [backend.Clock] with the clock of the machine.
type machineClock struct{}

func (machineClock) Now() time.Time                  { return time.Now() }
func (machineClock) Uptime() (string, time.Duration) { return backend.BootID(), backend.Uptime() }

func TestSharedStore(t *testing.T) {
	cachetest.SharedStore(t, func(t *testing.T) (a, b mirror.Store) {
		index := openShared(t, 2)
		blobs := cachetest.IndexedBlobs(index, "objects")
		options := cache.Options{Clock: machineClock{}}
		return newStore(t, blobs, index, options), newStore(t, blobs, index, options)
	})
}

// passingClock implements [backend.Clock].
type passingClock struct{ passed time.Duration }

func (c *passingClock) Now() time.Time {
	return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Add(c.passed)
}
func (c *passingClock) Uptime() (string, time.Duration) { return "boot", time.Hour + c.passed }

// TestUsesAreWrittenOncePerHalfGrace counts the transactions that lookups cost on a shared index.
func TestUsesAreWrittenOncePerHalfGrace(t *testing.T) {
	index := &hookedIndex{Index: openShared(t, 1)}
	shared := struct {
		*hookedIndex
		backend.Shared
	}{index, sharedIndex{}}
	blobs, clock := cachetest.IndexedBlobs(index, "objects"), new(passingClock)
	s := newStore(t, blobs, shared, cache.Options{Clock: clock, Grace: time.Hour, RecencyInterval: 1000 * time.Hour})
	defer closeStore(t, s)
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	m := image("{}", mirror.Pushed)
	putManifest(t, s, m)
	uses := map[string]func() error{
		"StatBlob": func() error { _, err := s.StatBlob(t.Context(), repo, digest.FromString("{}")); return err },
		"Manifest": func() error { _, err := s.Manifest(t.Context(), repo, m.Digest); return err },
	}
	for _, step := range []struct {
		passed time.Duration
		want   int64
	}{{0, 0}, {29 * time.Minute, 0}, {2 * time.Minute, 1}, {29 * time.Minute, 0}, {2 * time.Minute, 1}} {
		clock.passed += step.passed
		for name, use := range uses {
			before := index.updates.Load()
			for range 3 {
				if err := use(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if got := index.updates.Load() - before; got != step.want {
				t.Errorf("%s after %v more: %d transactions, want %d", name, step.passed, got, step.want)
			}
		}
	}
}

// TestSweepsKeepTheGracePeriod sweeps without a grace period what was looked up within that of the store.
func TestSweepsKeepTheGracePeriod(t *testing.T) {
	index, clock := openShared(t, 1), new(passingClock)
	s := newStore(t, cachetest.IndexedBlobs(index, "objects"), index, cache.Options{Clock: clock, Grace: time.Hour})
	defer closeStore(t, s)
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("{}")
	for _, kept := range []bool{true, false} {
		request := mirror.DeleteRequest{Blobs: []digest.Digest{d}, Before: s.Now()}
		if err := s.Sweep(t.Context(), slices.Values([]mirror.DeleteRequest{request}), nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.StatContent(t.Context(), d)
		if stored := err == nil; stored != kept {
			t.Errorf("stored: %t after %v, want %t", stored, clock.passed, kept)
		}
		clock.passed += 61 * time.Minute
	}
}

// TestLeasesOfAStore checks that what a node writes is refused after it has lost the lease that the work is for.
func TestLeasesOfAStore(t *testing.T) {
	index := openShared(t, 2)
	blobs := cachetest.IndexedBlobs(index, "objects")
	a, b := newStore(t, blobs, index, cache.Options{}), newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, a)
	defer closeStore(t, b)
	write := func(ctx context.Context, s *cache.Store) error {
		return s.SetState(ctx, "kind", map[string][]byte{"key": []byte("value")})
	}
	var old context.Context
	err := a.Leases("node-a").Run(t.Context(), "work", func(ctx context.Context) error {
		old = context.WithoutCancel(ctx)
		err := b.Leases("node-b").Run(t.Context(), "work", func(context.Context) error { return nil })
		var taken *mirror.LeaseTakenError
		if !errors.As(err, &taken) || taken.Node != "node-a" {
			t.Errorf("the other node got %v", err)
		}
		return write(ctx, a)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Leases("node-b").Run(t.Context(), "work", func(ctx context.Context) error {
		if err := write(old, a); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the node that had the lease before got %v", err)
		}
		return write(ctx, b)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStoreOfOneProcessHasNoLeases checks that a folder costs nothing for several nodes.
func TestStoreOfOneProcessHasNoLeases(t *testing.T) {
	s, err := cache.Open(cache.Config{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if leases := s.Leases("node"); leases != nil {
		t.Errorf("got %v", leases)
	}
}

// TestNodeState checks that nodes share a state, and have some for themselves.
func TestNodeState(t *testing.T) {
	index := openShared(t, 2)
	blobs := cachetest.IndexedBlobs(index, "objects")
	var nodes []*cache.Store
	for _, name := range []string{"a", "b"} {
		s := newStore(t, blobs, index, cache.Options{Clock: machineClock{}, Node: name, NodeState: []string{"job"}})
		defer closeStore(t, s)
		nodes = append(nodes, s)
	}
	for _, kind := range []string{"job", "pin"} {
		if err := nodes[0].SetState(t.Context(), kind, map[string][]byte{"1": []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range nodes {
		jobs, err := s.State(t.Context(), "job")
		if err != nil || len(jobs) != 1-i {
			t.Errorf("node %d has the jobs %q, %v", i, jobs, err)
		}
		if pins, err := s.State(t.Context(), "pin"); err != nil || len(pins) != 1 {
			t.Errorf("node %d has the pins %q, %v", i, pins, err)
		}
	}
}
