package proxy_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/cache/bolt"
	"airmirror/cache/lease"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// bubbleServer is the server of a shared index in a bubble.
type bubbleServer struct{}

func (bubbleServer) ServerTime(context.Context) (time.Time, error) { return time.Now(), nil }

// startNodes starts two mirrors over one store, as two nodes are.
func startNodes(t *testing.T, opts proxy.Options, wrap func(mirror.Store) mirror.Store) (a, b *place) {
	t.Helper()
	index, err := bolt.Open(filepath.Join(t.TempDir(), "leases.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	opts.Leases = lease.New(index, bubbleServer{}, "node-a")
	a = startOver(t, opts, wrap)
	opts.Leases = lease.New(index, bubbleServer{}, "node-b")
	b = &place{t: t, origin: a.origin, opts: opts, store: a.store}
	b.Proxy, err = proxy.New(b.store, b.origin, opts)
	b.must(err)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.Close(ended)
	})
	return a, b
}

// TestNodesHaveOneMode sets the mode and the read-only setting on each of two nodes.
func TestNodesHaveOneMode(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := startNodes(t, proxy.Options{}, nil)
		for _, mode := range []mirror.Mode{mirror.Offline, mirror.Online, mirror.Offline, mirror.Auto} {
			for _, node := range []*place{a, b} {
				node.must(node.SetMode(t.Context(), mode))
				node.must(node.SetReadOnly(t.Context(), mode == mirror.Offline))
				later(1100 * time.Millisecond)
				for _, other := range []*place{a, b} {
					if got := other.Mode(); got != mode {
						t.Errorf("a node is %s a second after %s was set", got, mode)
					}
					if on := other.ReadOnly(); on != (mode == mirror.Offline) {
						t.Errorf("read-only is %t", on)
					}
				}
			}
		}
		a.must(a.SetMode(t.Context(), mirror.Offline))
		later(1100 * time.Millisecond)
		a.origin.set(forbidden(t))
		b.missing(byTag("v1"))
	})
}

// failingStates is a store that cannot write states while failing is true.
type failingStates struct {
	mirror.Store
	failing *atomic.Bool
}

func (s failingStates) SetState(ctx context.Context, kind string, records map[string][]byte) error {
	if s.failing.Load() {
		return errors.New("the server is away")
	}
	return s.Store.SetState(ctx, kind, records)
}

// TestModeThatIsNotSavedStays sets a mode that cannot be saved. The node must not follow the old one in the store, and the
// other node gets the new one later.
func TestModeThatIsNotSavedStays(t *testing.T) {
	inTime(t, func(t *testing.T) {
		failing := new(atomic.Bool)
		a, b := startNodes(t, proxy.Options{}, func(s mirror.Store) mirror.Store { return failingStates{s, failing} })
		a.must(a.SetMode(t.Context(), mirror.Online))
		later(2 * time.Second)
		failing.Store(true)
		if err := a.SetMode(t.Context(), mirror.Offline); err == nil {
			t.Error("a mode that cannot be saved was acknowledged")
		}
		later(time.Minute)
		if a.Mode() != mirror.Offline || b.Mode() != mirror.Online {
			t.Errorf("the nodes are %s and %s, want offline and online", a.Mode(), b.Mode())
		}
		failing.Store(false)
		later(3 * time.Second)
		if a.Mode() != mirror.Offline || b.Mode() != mirror.Offline {
			t.Errorf("the nodes are %s and %s after the mode was saved, want offline", a.Mode(), b.Mode())
		}
	})
}

// TestOneNodeScrubs checks that two nodes scrub as often as one, and that the other node goes on when that node leaves.
func TestOneNodeScrubs(t *testing.T) {
	inTime(t, func(t *testing.T) {
		reads := new(atomic.Int64)
		a, b := startNodes(t, proxy.Options{ScrubEvery: time.Hour}, func(s mirror.Store) mirror.Store { return countedScrubs{s, reads} })
		a.push(ours, "layer")
		later(time.Hour + 30*time.Minute)
		synctest.Wait()
		if n := reads.Load(); n != 2 {
			t.Errorf("%d scrubs in 90 minutes at intervals of an hour, want 2", n)
		}
		first, second := a.Status().Verify.Last, b.Status().Verify.Last
		if first == nil || first.Files != 1 {
			t.Errorf("the last scrub of a node was %+v", first)
		}
		if second == nil || second.Files != 1 {
			t.Errorf("the last scrub of the other node was %+v", second)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = a.Close(ended)
		later(time.Hour)
		if n := reads.Load(); n != 3 {
			t.Errorf("%d scrubs an hour after a node left, want 3", n)
		}
	})
}

// countedScrubs counts the scrubs of a store.
type countedScrubs struct {
	mirror.Store
	n *atomic.Int64
}

func (s countedScrubs) Defects(ctx context.Context, opts mirror.CheckOptions) iter.Seq2[mirror.Defect, error] {
	s.n.Add(1)
	return s.Store.Defects(ctx, opts)
}

// awayStore is a store whose states cannot be changed while it is away.
type awayStore struct {
	mirror.Store
	away atomic.Bool
}

func (s *awayStore) ChangeState(ctx context.Context, kind string, change func(map[string][]byte) (map[string][]byte, error)) error {
	if s.away.Load() {
		return errors.New("the server is away")
	}
	return s.Store.ChangeState(ctx, kind, change)
}
