package transfer

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// guard keeps content from the collector. What is to be relied on is protected before it is looked up: then it cannot be
// taken in between. The zero value with a store is ready; it may be used concurrently.
type protection struct {
	store Store

	mu       sync.Mutex
	releases []func()
}

func (g *protection) protect(digests ...digest.Digest) {
	release := g.store.Protect(digests...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases = append(g.releases, release)
}

// protectPartial protects a part that was kept.
func (g *protection) protectPartial(id string) {
	release := g.store.ProtectPartial(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases = append(g.releases, release)
}

// release protects nothing any more. It may be called again.
func (g *protection) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, release := range g.releases {
		release()
	}
	g.releases = nil
}
