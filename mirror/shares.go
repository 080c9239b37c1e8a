package mirror

import (
	"sync"
)

// Shares divide something of which there is only so much between those who use it, by an address for example. One may
// take as much as it leaves free and no more: alone it has half of it, of two that take all they can each has a third, and
// so on. So there is always some left for who comes next, and nobody is bound to a small part while nobody else wants
// any. The zero value has no bound. It is safe for concurrent use.
type Shares[K comparable] struct {
	mu   sync.Mutex
	most int64 // no bound if zero
	used int64
	of   map[K]int64
}

// NewShares returns shares of so much; of any amount if that is zero.
func NewShares[K comparable](most int64) *Shares[K] { return &Shares[K]{most: most} }

// SetMost changes how much there is, for what is taken from then on. Nothing is taken back.
func (s *Shares[K]) SetMost(most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
}

// Take takes n for who, and reports whether who may have it. What was taken is to be given back.
func (s *Shares[K]) Take(who K, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 0 && s.of[who]+n > s.most-s.used {
		return false
	}
	s.add(who, n)
	return true
}

// Force takes n for who, who may have too much then. It is for what is there already, as after a restart.
func (s *Shares[K]) Force(who K, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(who, n)
}

// Give gives n back that who has.
func (s *Shares[K]) Give(who K, n int64) { s.Force(who, -n) }

func (s *Shares[K]) add(who K, n int64) {
	if s.of == nil {
		s.of = make(map[K]int64)
	}
	s.used += n
	if s.of[who] += n; s.of[who] == 0 {
		delete(s.of, who)
	}
}

// Of returns how much who has.
func (s *Shares[K]) Of(who K) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[who]
}

// Used returns how much all have, and whether that is all there is.
func (s *Shares[K]) Used() (n int64, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.most > 0 && s.used >= s.most
}

// Yields returns who has to give something back so that who can take one more: whoever has most, or who itself unless that
// is more than it would have then. A client never pushes out what belongs to one that has less.
func (s *Shares[K]) Yields(who K) K {
	s.mu.Lock()
	defer s.mu.Unlock()
	largest, has := who, s.of[who]+1
	if s.most > 0 && 2*has > s.most { // no more than half is for anybody
		return who
	}
	for other, n := range s.of {
		if n > has {
			largest, has = other, n
		}
	}
	return largest
}
