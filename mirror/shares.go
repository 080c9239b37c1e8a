package mirror

import "sync"

// Shares divide a limited amount between owners, such as the addresses of clients. An owner may have as much as it leaves
// free: a single owner gets up to a half, two get up to a third each, and so on. So there is always something left for the
// next owner, and a few owners are not limited to small parts. The zero value has no limit. It is safe for concurrent use.
type Shares[K comparable] struct {
	mu   sync.Mutex
	most int64 // 0 means no limit
	used int64
	of   map[K]int64
}

// NewShares returns shares of an amount; 0 means no limit.
func NewShares[K comparable](most int64) *Shares[K] { return &Shares[K]{most: most} }

// SetMost changes the amount. Owners keep what they have.
func (s *Shares[K]) SetMost(most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
}

// Take takes n for an owner, and reports whether the owner may have it. If so, the caller gives it back with Give.
func (s *Shares[K]) Take(who K, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > 0 && s.of[who]+n > s.most-s.used {
		return false
	}
	s.add(who, n)
	return true
}

// Force takes n for an owner even if that exceeds its share, for what exists already, such as after a restart.
func (s *Shares[K]) Force(who K, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(who, n)
}

// Give gives n of an owner back.
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

// Of returns how much an owner has.
func (s *Shares[K]) Of(who K) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[who]
}

// Used returns how much all owners have, and whether nothing is left.
func (s *Shares[K]) Used() (n int64, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.most > 0 && s.used >= s.most
}

// Yields returns the owner that must give up an item so that who can take one more: the owner with the most items, or
// who itself if no other owner would have more. An owner never displaces an item of an owner that has fewer.
func (s *Shares[K]) Yields(who K) K {
	s.mu.Lock()
	defer s.mu.Unlock()
	largest, has := who, s.of[who]+1
	if s.most > 0 && 2*has > s.most { // no owner may have more than half
		return who
	}
	for other, n := range s.of {
		if n > has {
			largest, has = other, n
		}
	}
	return largest
}
