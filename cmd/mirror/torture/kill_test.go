//go:build torture

package torture_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// TestKill kills the server, or a command without a server, at random moments, and checks the data folder after each kill.
func TestKill(t *testing.T) {
	var clock atomic.Int64
	now := func() int { return int(clock.Add(1)) }
	w := &workload{upstream: newUpstream(t), bundles: exportBundles(t), root: t.TempDir(), history: newHistory(now)}
	end := time.Now().Add(*duration / 2)
	acknowledged, n := 0, uint64(0)
	for ; n == 0 || time.Now().Before(end); n++ {
		rnd := random(n, 2000)
		if w.collect = n%4 == 3; w.collect {
			w.forget("blob:")
		}
		lives := time.Duration(rnd.Int64N(int64(2 * time.Second)))
		if rnd.IntN(5) == 0 {
			lives = time.Duration(rnd.Int64N(int64(100 * time.Millisecond))) // it does not get far
		}
		began := now()
		ctx, cancel := context.WithTimeout(t.Context(), lives)
		if n%5 == 4 { // no server: each command opens the data folder
			for ctx.Err() == nil {
				if err := w.operator(ctx, rnd); panicked(err) {
					t.Error(err)
				}
			}
		} else {
			s := launch(t, w.data(), w.flags()...)
			context.AfterFunc(ctx, s.kill)
			w.run(ctx, t, s, n)
			s.kill()
		}
		cancel()
		for _, at := range w.acknowledged() {
			if at > began {
				acknowledged++
			}
		}
		if f := w.check(t, w.root, now(), true); len(f.list) > 0 {
			for _, found := range f.list {
				t.Error(found)
			}
			t.Fatalf("kill %d, after %s", n, lives)
		}
	}
	t.Logf("%d kills, %d changes acknowledged", n, acknowledged)
}
