package files

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// commits allows one commit of a digest at a time. A second commit therefore finds a durable blob, not only a renamed
// one. If the first commit fails, it can delete its file, because no second commit relies on it.
type commits struct {
	mu   sync.Mutex
	busy map[digest.Digest]*commit
}

type commit struct {
	hidden bool          // the blob was renamed, but the rename is not durable yet
	done   chan struct{} // closed at the end of the commit
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

// hide hides d from readers. It must be called before the rename that makes d visible to them.
func (c *commits) hide(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[d].hidden = true
}

// end ends the commit of d and wakes the goroutines that wait for it.
func (c *commits) end(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[d].done)
	delete(c.busy, d)
}

// waitHidden waits while d is hidden, and reports whether d was hidden. A reader calls it after opening the blob,
// because a commit could still rename the blob after an earlier call.
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
