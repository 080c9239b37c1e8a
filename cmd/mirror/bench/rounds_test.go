//go:build bench

package bench_test

import (
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair is what ours and the reference yielded in each round.
type pair struct{ ours, reference, ratios []float64 }

// alternate lets ours and the reference take turns for n rounds, after one that does not count; each goes first in every
// other round. It leaves no dirty pages for the next one to write to disk.
func alternate(n int, ours, reference func(round int) float64) (p pair) {
	for round := range n + 1 {
		var o, r float64
		syscall.Sync()
		if round%2 == 0 {
			o = ours(round)
			syscall.Sync()
			r = reference(round)
		} else {
			r = reference(round)
			syscall.Sync()
			o = ours(round)
		}
		if round > 0 {
			p.ours, p.reference, p.ratios = append(p.ours, o), append(p.reference, r), append(p.ratios, o/r)
		}
	}
	return p
}

// row begins a row with the medians.
func (p pair) row(name, unit, against string, a aim) row {
	return row{name: name, ours: median(p.ours), reference: median(p.reference), against: against, unit: unit, ratios: p.ratios, aim: a}
}

// together runs f in n goroutines, each with a connection of its own, and returns how long that took.
func together(b *testing.B, n int, addr string, f func(i int, c *conn) error) time.Duration {
	b.Helper()
	conns := make([]*conn, n)
	for i := range conns {
		var err error
		conns[i], err = dial(addr)
		check(b, err)
		defer conns[i].Close()
	}
	var wg sync.WaitGroup
	began := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			if err := f(i, c); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if b.Failed() {
		b.FailNow()
	}
	return took
}
