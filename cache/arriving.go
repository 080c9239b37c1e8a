package cache

import (
	"context"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
)

// arriving counts who is between making the file of a digest durable and naming it in the index: until then it looks like
// what a crash left. The zero value is ready.
type arriving struct {
	mu    sync.Mutex
	count map[digest.Digest]int
}

// begin comes before the file, end after the transaction.
func (a *arriving) begin(d digest.Digest) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == nil {
		a.count = make(map[digest.Digest]int)
	}
	a.count[d]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.count[d]--; a.count[d] == 0 {
			delete(a.count, d)
		}
	}
}

// has is to be asked before the index is.
func (a *arriving) has(d digest.Digest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count[d] > 0
}

// stillThere is for the transaction that names a file: one that had the right size when it came again may have turned out
// to be damaged, and have been taken away, since. Then nothing was acknowledged, and the client sends it again.
func (s *Store) stillThere(d digest.Digest) error {
	if _, err := s.blobs.Stat(context.Background(), d); err != nil {
		return fmt.Errorf("the file of %s was damaged and has been taken away just now: send it again: %v", d, err)
	}
	return nil
}
