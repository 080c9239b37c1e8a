package lease_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/lease"
	"airmirror/mirror"
)

func openBolt(t *testing.T) backend.Index {
	t.Helper()
	x, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// unclosed is one of several handles on an index.
type unclosed struct{ backend.Index }

func (unclosed) Close() error { return nil }

func TestLeases(t *testing.T) {
	cachetest.Leases(t, func(t *testing.T) (a, b backend.Index) {
		x := openBolt(t)
		return x, unclosed{x}
	})
}

// server is the clock of a server in a bubble. It, and updates of the index, fail while it is away.
type server struct {
	backend.Index
	away atomic.Bool
}

var errAway = errors.New("the server is away")

func (s *server) ServerTime(context.Context) (time.Time, error) {
	if s.away.Load() {
		return time.Time{}, errAway
	}
	return time.Now(), nil
}

// inTime runs a test with two nodes in a bubble. The second one always reaches the server.
func inTime(t *testing.T, test func(t *testing.T, first *server, a, b *lease.Leases)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		first := &server{Index: openBolt(t)}
		second := &server{Index: first.Index}
		defer first.Close()
		test(t, first, lease.New(first, first, "node-a"), lease.New(second, second, "node-b"))
	})
}

func taken(err error) bool {
	var taken *mirror.LeaseTakenError
	return errors.As(err, &taken)
}

func nothing(context.Context) error { return nil }

// TestRunRenews checks that a lease lasts as long as the function, even if the server is away for a while.
func TestRunRenews(t *testing.T) {
	inTime(t, func(t *testing.T, first *server, a, b *lease.Leases) {
		err := a.Run(t.Context(), "work", func(ctx context.Context) error {
			for range 20 {
				first.away.Store(true)
				time.Sleep(8 * time.Second)
				first.away.Store(false)
				time.Sleep(5 * time.Second)
				if err := b.Run(t.Context(), "work", nothing); !taken(err) {
					t.Errorf("another node got %v", err)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		if err := b.Run(t.Context(), "work", nothing); err != nil {
			t.Errorf("the lease was not released: %v", err)
		}
	})
}

// TestRunEndsWithItsLease checks that a node that does not reach the server stops before another one begins.
func TestRunEndsWithItsLease(t *testing.T) {
	inTime(t, func(t *testing.T, first *server, a, b *lease.Leases) {
		var working atomic.Bool
		ended := make(chan error)
		began := make(chan struct{})
		go func() {
			ended <- a.Run(t.Context(), "work", func(ctx context.Context) error {
				working.Store(true)
				close(began)
				<-ctx.Done()
				working.Store(false)
				return ctx.Err()
			})
		}()
		<-began
		first.away.Store(true)
		for taken(b.Run(t.Context(), "work", func(context.Context) error {
			synctest.Wait()
			if working.Load() {
				t.Error("two nodes work at the same time")
			}
			return nil
		})) {
			time.Sleep(time.Second)
		}
		if err := <-ended; !errors.Is(err, lease.ErrLost) {
			t.Errorf("the first node got %v, want that its lease was lost", err)
		}
	})
}

// TestRunEndsWithItsContext checks that a caller can end the function, and that the lease is released then.
func TestRunEndsWithItsContext(t *testing.T) {
	inTime(t, func(t *testing.T, _ *server, a, b *lease.Leases) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		err := a.Run(ctx, "work", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, lease.ErrLost) {
			t.Errorf("Run returned %v", err)
		}
		if err := b.Run(t.Context(), "work", nothing); err != nil {
			t.Error(err)
		}
	})
}
