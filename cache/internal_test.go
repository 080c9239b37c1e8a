package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// countingIndex counts updates and keeps nothing.
type countingIndex struct {
	Index
	updates int
	update  func() error
}

func (x *countingIndex) Update(context.Context, func(WriteTx) error) error {
	x.updates++
	if x.update != nil {
		return x.update()
	}
	return nil
}

// TestRecencyIsWrittenEarlyWhenThereIsMuch does not wait for the interval.
func TestRecencyIsWrittenEarlyWhenThereIsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &countingIndex{}
		r := newRecency(index, Options{RecencyInterval: time.Hour})
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

// TestRecencyKeepsTheLastUse when content is used again while an older use fails to be written.
func TestRecencyKeepsTheLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &countingIndex{}
		r := newRecency(index, Options{})
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

// TestRecencyIsBounded while the index takes nothing.
func TestRecencyIsBounded(t *testing.T) {
	r := newRecency(&countingIndex{}, Options{})
	for i := range recencyLimit + 100 {
		r.touch(content{digest: digest.Digest(fmt.Sprint(i))})
	}
	if len(r.used) != recencyLimit {
		t.Errorf("%d uses in memory, want %d", len(r.used), recencyLimit)
	}
}

// TestHotBudget adds more than fits, and values that replace one another.
func TestHotBudget(t *testing.T) {
	h := newHot[int](5*hotOverhead, manifestCost)
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
	end := h.begin(99 * 99 % 7)
	if _, found, _ := h.get(99 * 99 % 7); found {
		t.Error("what is being written is answered")
	}
	end()
	if len(h.writing) != 0 {
		t.Errorf("%d keys are being written after all writes", len(h.writing))
	}
}
