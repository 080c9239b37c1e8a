package mirror_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"airmirror/mirror"
)

// takeAll takes as much as an owner can get, one by one, and returns how much that was.
func takeAll(s *mirror.Shares[string], who string) (n int) {
	for s.Take(who, 1) {
		n++
	}
	return n
}

// TestSharesLeaveSomeForTheNext checks that one owner gets a half, and that there is something left for the next one,
// however many take all they can.
func TestSharesLeaveSomeForTheNext(t *testing.T) {
	s := mirror.NewShares[string](1024)
	for i, want := range []int{512, 256, 128, 64, 32, 16, 8, 4, 2, 1, 1} {
		if n := takeAll(s, string(rune('a'+i))); n != want {
			t.Errorf("the %d. gets %d, want %d", i+1, n, want)
		}
	}
	if n, full := s.Used(); n != 1024 || !full {
		t.Errorf("%d used, full %t", n, full)
	}
	if s.Take("z", 1) {
		t.Error("there is more than there is")
	}
	s.Give("a", 512)
	if n := takeAll(s, "z"); n != 256 {
		t.Errorf("the next owner gets %d of what was given back", n)
	}
}

func TestSharesOfOne(t *testing.T) {
	s := mirror.NewShares[string](1)
	if !s.Take("a", 1) || s.Take("a", 1) || s.Take("b", 1) {
		t.Error("of one there is not one")
	}
	s.SetMost(0)
	if !s.Take("a", 1<<40) {
		t.Error("there is a limit although none was set")
	}
	if !new(mirror.Shares[string]).Take("a", 5) {
		t.Error("the zero value has a bound")
	}
}

func TestSharesOfSizes(t *testing.T) {
	s := mirror.NewShares[string](100)
	for n, want := range map[int64]bool{101: false, 100: true} {
		if s.Take("a", n) != want {
			t.Errorf("%d of 100: %t", n, !want)
		}
	}
	s.Give("a", 100)
	if !s.Take("a", 30) || !s.Take("a", 20) || s.Take("a", 20) || s.Of("a") != 50 {
		t.Errorf("it has %d", s.Of("a"))
	}
}

// TestYields, and never to one that would have more then.
func TestYields(t *testing.T) {
	s := mirror.NewShares[string](1000)
	for who, n := range map[string]int64{"flood": 500, "middle": 300, "small": 3} {
		s.Force(who, n)
	}
	for who, want := range map[string]string{"flood": "flood", "middle": "flood", "small": "flood", "new": "flood"} {
		if got := s.Yields(who); got != want {
			t.Errorf("%s yields to %s, want %s", got, who, want)
		}
	}
	s.Give("flood", 200)
	for who, want := range map[string]string{"flood": "flood", "middle": "middle"} {
		if got := s.Yields(who); got != want {
			t.Errorf("of two equal owners, %s yields to %s", got, who)
		}
	}
}

func TestSharesConcurrently(t *testing.T) {
	s := mirror.NewShares[string](100)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if s.Take("a", 1) {
				taken.Add(1)
			}
		})
	}
	if all.Wait(); taken.Load() != 50 {
		t.Errorf("%d taken", taken.Load())
	}
}
