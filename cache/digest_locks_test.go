package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
)

// TestDigestLocks checks that a file is never indexed and deleted at the same time, and that no locks are left over.
func TestDigestLocks(t *testing.T) {
	var g digestLocks
	var naming, deleting atomic.Int32 // a
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				d := digest.Digest([]string{"a", "b", "c"}[j%3])
				if i%2 == 0 {
					release := g.share(d)
					if d == "a" {
						if naming.Add(1); deleting.Load() != 0 {
							t.Error("named while it is deleted")
						}
						naming.Add(-1)
					}
					release()
					continue
				}
				release, err := g.lock(t.Context(), d)
				if err != nil {
					t.Error(err)
					return
				}
				if d == "a" {
					if deleting.Add(1) != 1 || naming.Load() != 0 {
						t.Error("deleted while it is named, or twice at once")
					}
					deleting.Add(-1)
				}
				release()
			}
		})
	}
	all.Wait()
	if len(g.entries) != 0 {
		t.Errorf("%d locks are left", len(g.entries))
	}
}

// TestDigestLocksWait checks that a deletion waits for all sharers, and they for it.
func TestDigestLocksWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g digestLocks
		one, two := g.share("d"), g.share("d")
		if g.tryLock("d") != nil {
			t.Error("taken from who holds it")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.lock(cancelled, "d"); !errors.Is(err, context.Canceled) {
			t.Errorf("take returned %v, want %v", err, context.Canceled)
		}
		var taken, stored func()
		go func() { taken, _ = g.lock(t.Context(), "d") }()
		synctest.Wait()
		one()
		synctest.Wait()
		if taken != nil {
			t.Fatal("taken from who holds it")
		}
		two()
		synctest.Wait()
		if taken == nil {
			t.Fatal("not taken, though nobody holds it")
		}
		go func() { stored = g.share("d") }()
		synctest.Wait()
		if stored != nil {
			t.Fatal("held while it is deleted")
		}
		taken()
		synctest.Wait()
		stored()
		g.setDeleting("d", true)
		if g.tryLock("d") != nil {
			t.Error("taken from a sweep that comes to delete it")
		}
		if !g.lockNow("d") || g.lockNow("d") {
			t.Error("the sweep itself did not lock it once")
		}
		g.unlock("d")
		sharing := g.share("d")
		if g.lockNow("d") {
			t.Error("the sweep locked what another goroutine shares")
		}
		sharing()
		g.share("d")()           // does not prevent sharing
		g.setDeleting("d", true) // written and deleted again
		g.setDeleting("d", false)
		if g.tryLock("d") != nil {
			t.Error("taken although the second sweep has yet to delete it")
		}
		g.setDeleting("d", false)
		if len(g.entries) != 0 {
			t.Errorf("%d locks are left", len(g.entries))
		}
	})
}

// TestDeleteFence checks that a reader whose use comes too late for a sweep waits for it and reads again.
func TestDeleteFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x deleteFence
		passed := func(d digest.Digest, since uint64) bool {
			t.Helper()
			ok, err := x.passed(t.Context(), d, since)
			if err != nil {
				t.Error(err)
			}
			return ok
		}
		before := x.current()
		if !passed("d", before) {
			t.Error("lost without a sweep")
		}
		release := x.protect([]digest.Digest{"p", "q"})
		x.begin()
		during := x.current()
		if x.mark("p") || !x.mark("d") {
			t.Error("a digest that is not protected was not marked")
		}
		if passed("e", before) || !passed("e", during) {
			t.Error("want who looked before the transaction to look again, and no other")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := x.passed(cancelled, "d", during); !errors.Is(err, context.Canceled) {
			t.Errorf("passed returned %v, want %v", err, context.Canceled)
		}
		var ended atomic.Int32
		go func() {
			if passed("d", during) {
				t.Error("a reader from before the mark passed")
			}
			ended.Add(1)
		}()
		go func() {
			x.protect([]digest.Digest{"d"})()
			ended.Add(1)
		}()
		synctest.Wait()
		if ended.Load() != 0 {
			t.Error("nobody waited for the transaction")
		}
		x.end()
		synctest.Wait()
		if ended.Load() != 2 {
			t.Error("somebody waits after the transaction")
		}
		if passed("d", during) {
			t.Error("want who looked during the transaction to look again")
		}
		if !x.isProtected("q") {
			t.Error("no longer protected")
		}
		release()
		release()
		if x.isProtected("q") || len(x.protected) != 0 {
			t.Error("protected for ever")
		}
	})
}
