package transfer

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// protection protects content from the collector. Protect content before looking it up, so that it cannot be deleted in
// between. The zero value with a store is ready. It is safe for concurrent use.
type protection struct {
	store Store

	mu       sync.Mutex
	releases []func()
}

func (p *protection) protect(digests ...digest.Digest) {
	release := p.store.Protect(digests...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releases = append(p.releases, release)
}

// protectPartial protects a partial blob.
func (p *protection) protectPartial(id string) {
	release := p.store.ProtectPartial(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releases = append(p.releases, release)
}

// release ends all protection. It may be called more than once.
func (p *protection) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, release := range p.releases {
		release()
	}
	p.releases = nil
}
