package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// countingIndex counts updates and stores nothing.
type countingIndex struct {
	backend.Index
	updates int
	update  func() error
}

func (x *countingIndex) Update(context.Context, backend.Locks, func(backend.WriteTx) error) error {
	x.updates++
	if x.update != nil {
		return x.update()
	}
	return nil
}

// ownClock is a clock of this machine that was just recorded.
func ownClock() *clock {
	at := time.Now().UTC().Round(0)
	return &clock{machine: newSystemClock(), log: zap.NewNop(), last: clockRecord{Time: at, Running: backend.Uptime()}, recorded: clockRecord{Time: at}}
}

// TestRecencyIsWrittenEarly checks that a full batch does not wait for the interval.
func TestRecencyIsWrittenEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &countingIndex{}
		r := newRecency(index, ownClock(), Options{RecencyInterval: time.Hour})
		go r.run()
		for i := range recencyBatch - 1 {
			r.touch(content{digest: digest.FromString("again and again")})
			r.touch(content{digest: digest.FromString(fmt.Sprint(i))})
		}
		synctest.Wait()
		if index.updates != 1 {
			t.Errorf("%d updates after %d uses, want 1", index.updates, recencyBatch)
		}
		if err := r.close(t.Context()); err != nil {
			t.Error(err)
		}
		if index.updates != 1 {
			t.Errorf("%d updates, want none for nothing", index.updates)
		}
	})
}

// TestRecencyKeepsTheLastUse uses content again while an older use fails to be written.
func TestRecencyKeepsTheLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &countingIndex{}
		r := newRecency(index, ownClock(), Options{})
		c := content{digest: digest.FromString("a blob")}
		index.update = func() error {
			time.Sleep(time.Second)
			r.touch(c)
			return errors.New("disk broken")
		}
		r.touch(c)
		if err := r.flush(t.Context()); err == nil {
			t.Error("flush did not fail")
		}
		if at := r.used[c]; !at.Equal(time.Now()) {
			t.Errorf("used at %v, want %v", at, time.Now())
		}
	})
}

// TestRecencyIsFoundWhileItIsWritten checks a caller that reads recency before the index.
func TestRecencyIsFoundWhileItIsWritten(t *testing.T) {
	index := &countingIndex{}
	r := newRecency(index, ownClock(), Options{})
	c := content{digest: digest.FromString("a blob")}
	index.update = func() error {
		if r.pendingUse(c).IsZero() || r.pending()[c].IsZero() {
			t.Error("not found while it is written")
		}
		return nil
	}
	r.touch(c)
	if err := r.flush(t.Context()); err != nil || index.updates != 1 {
		t.Errorf("%d updates, %v", index.updates, err)
	}
	if !r.pendingUse(c).IsZero() {
		t.Error("still in memory after it was written")
	}
}

// TestSweepAdapts checks the duration of transactions on a slow and on a fast disk.
func TestSweepAdapts(t *testing.T) {
	w := &sweeper{time: sweepTime, writes: sweepWritesFirst}
	for _, cost := range []time.Duration{10 * time.Microsecond, time.Millisecond, 100 * time.Microsecond, time.Second, 0} {
		for range 100 {
			w.adapt(w.writes, time.Duration(w.writes)*cost)
		}
		switch took := time.Duration(w.writes) * cost; {
		case cost == time.Second && w.writes != sweepWritesLeast, cost == 0 && w.writes != sweepWritesMost:
			t.Errorf("%d writes at %v each", w.writes, cost)
		case cost != time.Second && cost != 0 && (took > 2*sweepTime || took < sweepTime/2) && w.writes != sweepWritesMost:
			t.Errorf("%d writes at %v each are %v", w.writes, cost, took)
		}
	}
}

// TestSweepAdaptsToFullTransactions checks that a transaction that had little to do does not limit the next one, and that
// one whose time is mostly fixed costs leads to more writes.
func TestSweepAdaptsToFullTransactions(t *testing.T) {
	w := &sweeper{time: sweepTime, writes: 1000}
	if w.adapt(17, time.Second); w.writes != 1000 {
		t.Errorf("%d writes after a transaction of 17 writes, want 1000", w.writes)
	}
	w.writes = sweepWritesFirst
	for range 4 {
		w.adapt(w.writes, 4*time.Millisecond+time.Duration(w.writes)*time.Microsecond)
	}
	if w.writes < 64*sweepWritesFirst {
		t.Errorf("%d writes after 4 transactions on a fast disk, want at least %d", w.writes, 64*sweepWritesFirst)
	}
}

// TestSweepYieldsToWriters checks that a transaction ends earlier if another writer waits.
func TestSweepYieldsToWriters(t *testing.T) {
	for _, c := range []struct {
		writes  int
		ran     time.Duration
		waiting bool
		want    bool
	}{
		{99, 0, true, false},
		{100, 0, true, true},
		{100, 0, false, false},
		{100 * sweepIdle, 0, false, true},
		{0, time.Hour + time.Minute, true, true},
		{0, time.Hour + time.Minute, false, false},
		{0, sweepIdle*time.Hour + time.Minute, false, true},
	} {
		tx := &sweepTx{count: c.writes, most: 100, reads: time.Hour, began: time.Now().Add(-c.ran), waiting: func() bool { return c.waiting }}
		if got := tx.full(); got != c.want {
			t.Errorf("full is %v, want %v: %+v", got, c.want, c)
		}
	}
}

// TestRecencyIsBounded checks the memory while the index cannot be written.
func TestRecencyIsBounded(t *testing.T) {
	r := newRecency(&countingIndex{}, ownClock(), Options{})
	for i := range recencyLimit + 100 {
		r.touch(content{digest: digest.Digest(fmt.Sprint(i))})
	}
	if len(r.used) != recencyLimit {
		t.Errorf("%d uses in memory, want %d", len(r.used), recencyLimit)
	}
}

// TestCacheBudget adds more than fits, and values that replace one another.
func TestCacheBudget(t *testing.T) {
	h := newRecordCache[int](5*cacheEntryOverhead, manifestCost)
	for i := range 100 {
		h.add(i*i%7, mirror.Manifest{Bytes: make([]byte, i)}, 0)
		sum := 0
		for _, m := range h.entries.Values() {
			sum += manifestCost(m)
		}
		if sum != h.used || sum > h.budget || h.entries.Len() == 0 {
			t.Fatalf("%d entries cost %d, counted %d of at most %d", h.entries.Len(), sum, h.used, h.budget)
		}
	}
	if _, found, _ := h.get(99 * 99 % 7); !found {
		t.Error("what was added last is gone")
	}
	end := h.beginWrite(99 * 99 % 7)
	if _, found, _ := h.get(99 * 99 % 7); found {
		t.Error("what is being written is answered")
	}
	end()
	if len(h.writing) != 0 {
		t.Errorf("%d keys are being written after all writes", len(h.writing))
	}
}

// TestSweepsLearnFromOneAnother checks that a sweep starts with the number of writes that an earlier one reached.
func TestSweepsLearnFromOneAnother(t *testing.T) {
	s := &Store{options: Options{}.withDefaults()}
	first := newSweeper(s, nil)
	if first.writes != sweepWritesFirst {
		t.Errorf("the first begins with %d writes", first.writes)
	}
	s.sweepWrites.Store(1000)
	if next := newSweeper(s, nil); next.writes != 1000 {
		t.Errorf("the next begins with %d writes", next.writes)
	}
	s = &Store{options: Options{SweepTime: time.Second}.withDefaults()}
	if w := newSweeper(s, nil); w.writes != 40*sweepWritesFirst {
		t.Errorf("one that may take its time begins with %d writes", w.writes)
	}
}
