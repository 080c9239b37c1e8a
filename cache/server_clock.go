package cache

import (
	"context"
	"sync"
	"time"

	"airmirror/cache/backend"
)

// serverClock is the time of the server that has a shared index. Between two readings it advances with the time that passes
// on this node; the wall clock of the node is never read. It never goes back.
type serverClock struct {
	source  backend.Shared
	elapsed func() time.Duration // on this node, including suspended time

	mu   sync.Mutex
	read time.Time     // the last reading
	at   time.Duration // when it was requested
	last time.Time     // what now returned last
}

// openServerClock reads the time of the server.
func openServerClock(ctx context.Context, source backend.Shared) (*serverClock, error) {
	machine := newSystemClock()
	c := &serverClock{source: source, elapsed: func() time.Duration { _, since := machine.Uptime(); return since }}
	return c, c.sync(ctx)
}

// sync reads the time of the server again.
func (c *serverClock) sync(ctx context.Context) error {
	requested := c.elapsed()
	read, err := c.source.ServerTime(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.at = read.UTC(), requested
	return nil
}

func (c *serverClock) now() time.Time {
	elapsed := c.elapsed()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = latest(c.read.Add(elapsed-c.at), c.last)
	return c.last
}
