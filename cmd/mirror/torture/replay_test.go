//go:build torture

package torture_test

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// replay is the log of a disk, applied up to a position: durable has everything before the last flush, pending the writes
// after it.
type replay struct {
	log     []entry
	at      int
	durable blocks
	pending []entry
	sector  int  // the size of what the disk writes completely or not at all
	lie     bool // flushes are ignored, as by a disk with a defect
}

// replay begins at the base of the disk. The log may grow meanwhile.
func (d *disk) replay(sector int) *replay {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &replay{log: d.log, durable: maps.Clone(d.base), sector: sector}
}

// advance applies the log up to a position.
func (r *replay) advance(at int) {
	for ; r.at < at; r.at++ {
		e := r.log[r.at]
		if e.data != nil {
			r.pending = append(r.pending, e)
			continue
		}
		if r.lie {
			continue
		}
		for _, w := range r.pending {
			r.durable.write(w.data, w.off)
		}
		r.pending = nil
	}
}

// cut returns contents that the disk may have after a power cut at the position of r: everything that was flushed, and of
// the rest any part in any order. A write is whole, missing, or torn between two sectors.
func (r *replay) cut(rnd *rand.Rand) blocks {
	left := maps.Clone(r.durable)
	pending := r.pending
	reach := rnd.Float64() // the part of the pending writes that arrives: from none to all
	switch rnd.IntN(4) {
	case 0:
		reach = 0
	case 1:
		reach = 1
	}
	ordered := rnd.IntN(2) == 0
	for i, w := range pending {
		switch {
		case ordered && float64(i) >= reach*float64(len(pending)):
			r.tear(left, w, rnd)
			return left
		case ordered || rnd.Float64() < reach:
			left.write(w.data, w.off)
		case rnd.IntN(4) == 0:
			r.tear(left, w, rnd)
		}
	}
	return left
}

// tear writes a part of w: its first sectors, or its last ones.
func (r *replay) tear(left blocks, w entry, rnd *rand.Rand) {
	at := rnd.IntN(len(w.data)/r.sector+1) * r.sector
	if rnd.IntN(2) == 0 {
		left.write(w.data[:at], w.off)
		return
	}
	left.write(w.data[at:], w.off+int64(at))
}

// TestReplayKeepsWhatWasFlushed: whatever becomes of later writes, what was flushed is there, and the rest is old or new.
func TestReplayKeepsWhatWasFlushed(t *testing.T) {
	const sector = 512
	data := func(fill byte) []byte {
		p := make([]byte, 2*sector)
		for i := range p {
			p[i] = fill
		}
		return p
	}
	d := &disk{base: blocks{}, log: []entry{{0, data('a')}, {8192, data('x')}, {}, {0, data('b')}, {0, data('c')}, {4096, data('d')}}}
	rnd, seen := random(0), map[[4]byte]bool{}
	for range 2000 {
		r := d.replay(sector)
		r.advance(len(d.log))
		left, p := r.cut(rnd), make([]byte, 2*blockSize)
		left.read(p, 8192)
		if p[0] != 'x' {
			t.Fatal("a flushed write is missing")
		}
		left.read(p, 0)
		seen[[4]byte{p[0], p[sector], p[4096], p[4096+sector]}] = true
	}
	for state, what := range map[[4]byte]string{
		{'a', 'a', 0, 0}:     "nothing that was pending",
		{'c', 'c', 'd', 'd'}: "everything that was pending",
		{'b', 'b', 0, 0}:     "a part in order",
		{'a', 'a', 'd', 'd'}: "a later write without an earlier one",
		{'b', 'c', 0, 0}:     "a torn write",
	} {
		if !seen[state] {
			t.Errorf("no cut left %s", what)
		}
	}
	if seen[[4]byte{0, 0, 0, 0}] {
		t.Error("a flushed write is missing")
	}
}
