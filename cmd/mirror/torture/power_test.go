//go:build torture

package torture_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	powerWork = 5 * time.Second // of each session
	powerLog  = 384 << 20       // ends a session sooner
	powerCuts = 6               // of each session
)

// TestPowerCut works on a disk that logs its writes, and checks states that the disk may have after a power cut.
func TestPowerCut(t *testing.T) {
	needDevices(t)
	up, bundles := newUpstream(t), exportBundles(t)
	end := time.Now().Add(*duration / 2)
	for n := uint64(0); n == 0 || time.Now().Before(end); n++ {
		system := fileSystems[(*seed+n)%uint64(len(fileSystems))]
		t.Run(fmt.Sprintf("%d %s", n, system.name), func(t *testing.T) {
			p := startPower(t, system, &workload{upstream: up, bundles: bundles, collect: n%2 == 1}, n)
			rnd := random(n, 1000)
			for _, at := range p.positions(rnd) {
				p.replay.advance(at)
				p.cutAndCheck(t, p.replay, at, rnd, 0)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// TestLostFlushesAreFound: the checks find what is missing when a disk ignores flushes.
func TestLostFlushesAreFound(t *testing.T) {
	needDevices(t)
	w := &workload{upstream: newUpstream(t), bundles: exportBundles(t)}
	p := startPower(t, fileSystems[0], w, 0)
	p.replay.lie = true
	acknowledged := w.acknowledged()
	at := acknowledged[len(acknowledged)-1]
	p.replay.advance(at)
	rnd := random(1)
	for range 5 {
		if f := p.checkContents(t, p.replay.cut(rnd), at, func(*disk) {}); len(f.list) > 0 {
			t.Logf("found: %s", f.list[0])
			return
		}
	}
	t.Error("five power cuts of a disk that ignores flushes lose nothing")
}

// power is a workload that has ended, and the log of its disk.
type power struct {
	*workload
	system fileSystem
	replay *replay
	end    int // position at the end of the workload
}

// startPower runs a workload on a new disk.
func startPower(t *testing.T, system fileSystem, w *workload, n uint64) *power {
	t.Helper()
	d, dir, unmount, err := system.mount(t, system.format(t))
	must(t, err)
	w.root, w.history = dir, newHistory(d.now)
	s := launch(t, w.data(), w.flags()...)
	must(t, s.ready())
	ctx, cancel := context.WithTimeout(t.Context(), powerWork)
	defer cancel()
	go func() {
		for tick := time.Tick(50 * time.Millisecond); ctx.Err() == nil; <-tick {
			if d.logged() > powerLog {
				cancel()
			}
		}
	}()
	w.run(ctx, t, s, n)
	p := &power{w, system, d.replay(system.sector), 0}
	p.end = d.now()
	must(t, s.stop())
	unmount()
	p.replay.log = d.log
	t.Logf("%d changes acknowledged, %d writes and flushes, %d MiB", len(w.acknowledged()), p.end, d.logged()>>20)
	return p
}

// positions chooses where to cut: anywhere, and as soon as something was acknowledged.
func (p *power) positions(rnd *rand.Rand) (positions []int) {
	acknowledged := p.acknowledged()
	for n := range powerCuts {
		if n%2 == 0 && len(acknowledged) > 0 {
			positions = append(positions, acknowledged[rnd.IntN(len(acknowledged))])
		} else {
			positions = append(positions, rnd.IntN(p.end+1))
		}
	}
	slices.Sort(positions)
	return positions
}

// cutAndCheck checks one state. Sometimes the power is cut again while the server repairs what the first cut left.
func (p *power) cutAndCheck(t *testing.T, r *replay, at int, rnd *rand.Rand, depth int) {
	t.Helper()
	contents := r.cut(rnd)
	var again *replay
	f := p.checkContents(t, contents, at, func(d *disk) {
		again = d.replay(p.system.sector)
		again.advance(rnd.IntN(d.now() + 1))
	})
	if len(f.list) > 0 {
		for _, found := range f.list {
			t.Error(found)
		}
		t.Fatalf("power cut at %d of %d, %d writes pending, depth %d; the disk is in %s", at, p.end, len(r.pending), depth, save(t, contents))
	}
	if depth == 0 && again != nil && rnd.IntN(2) == 0 {
		p.cutAndCheck(t, again, at, rnd, depth+1)
	}
}

// checkContents mounts contents and checks them. It calls after with the disk when that is done.
func (p *power) checkContents(t *testing.T, contents blocks, at int, after func(*disk)) *findings {
	t.Helper()
	d, dir, unmount, err := p.system.mount(t, contents)
	if err != nil {
		return &findings{list: []string{err.Error()}}
	}
	defer unmount()
	f := p.check(t, dir, at, false)
	after(d)
	return f
}

// save writes contents to a file that can be mounted. `make torture TESTFLAGS=-artifacts` keeps them.
func save(t *testing.T, contents blocks) string {
	t.Helper()
	path := filepath.Join(t.ArtifactDir(), "disk.img")
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	must(t, file.Truncate(diskSize))
	for _, n := range slices.Sorted(maps.Keys(contents)) {
		_, err := file.WriteAt(contents[n][:], n*blockSize)
		must(t, err)
	}
	return path
}
