//go:build bench

package bench_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is what ours and the reference yielded in each round.
type pair struct{ ours, reference, ratios []float64 }

// quick is for a look at all rows within minutes: fewer rounds, and no row that takes minutes.
var quick = os.Getenv("BENCH_QUICK") != ""

// rounds returns n, or fewer of a quick run.
func rounds(n int) int {
	if quick {
		return (n + 3) / 4
	}
	return n
}

// notQuick skips a benchmark that takes minutes.
func notQuick(b *testing.B) {
	b.Helper()
	if quick {
		b.Skip("not in a quick run")
	}
}

// syncDisk writes the dirty pages of the disk below TMPDIR to it.
func syncDisk() {
	if dir, err := os.Open(scratch); err == nil {
		_ = unix.Syncfs(int(dir.Fd())) // an error is that of a measurement before, which would have failed
		dir.Close()
	}
}

// alternate lets ours and the reference take turns for n rounds, after one that does not count; each goes first in every
// other round. It leaves no dirty pages for the next one to write to disk.
func alternate(n int, ours, reference func(round int) float64) (p pair) {
	for round := range rounds(n) + 1 {
		var o, r float64
		syncDisk()
		if round%2 == 0 {
			o = ours(round)
			syncDisk()
			r = reference(round)
		} else {
			r = reference(round)
			syncDisk()
			o = ours(round)
		}
		if round > 0 {
			p.add(o, r)
		}
	}
	return p
}

func (p *pair) add(ours, reference float64) {
	p.ours, p.reference, p.ratios = append(p.ours, ours), append(p.reference, reference), append(p.ratios, ours/reference)
}

// against pairs the rounds of ours and of a reference.
func against(ours, reference []float64) (p pair) {
	for i := range ours {
		p.add(ours[i], reference[i])
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
