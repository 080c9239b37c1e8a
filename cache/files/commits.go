package files

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// commits lets one writer at a time commit a digest, so that a second one finds what the first made durable and not
// merely what it renamed, and a first one that fails can remove what it made without taking it from the second.
type commits struct {
	mu   sync.Mutex
	busy map[digest.Digest]*commit
}

type commit struct {
	hidden bool          // the blob has its name, which is not durable yet
	done   chan struct{} // closed at the end
}

// begin waits until d has no other commit. The caller must call end.
func (c *commits) begin(ctx context.Context, d digest.Digest) error {
	for {
		c.mu.Lock()
		other := c.busy[d]
		if other == nil {
			c.busy[d] = &commit{done: make(chan struct{})}
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if err := other.wait(ctx); err != nil {
			return err
		}
	}
}

// hide must come before the rename that lets readers find d.
func (c *commits) hide(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[d].hidden = true
}

func (c *commits) end(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[d].done)
	delete(c.busy, d)
}

// waitHidden waits as long as d is hidden, and reports whether it was. Readers ask after they found the blob: had they
// asked before, it could have been renamed in between.
func (c *commits) waitHidden(ctx context.Context, d digest.Digest) (bool, error) {
	c.mu.Lock()
	current := c.busy[d]
	hidden := current != nil && current.hidden
	c.mu.Unlock()
	if !hidden {
		return false, nil
	}
	return true, current.wait(ctx)
}

func (c *commit) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
