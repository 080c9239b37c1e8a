package gc

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// ranElsewhere reports whether another node has run a collection since seen, which was the start of the last one.
func (c *Collector) ranElsewhere(ctx context.Context, cause Cause, seen time.Time) bool {
	if !c.shared {
		return false
	}
	c.refresh(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.last[cause].Began.Equal(seen)
}

// refresh reads the results of other nodes, if there are any.
func (c *Collector) refresh(ctx context.Context) {
	if !c.shared {
		return
	}
	if err := c.loadResults(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("cannot read the results of collections on other nodes", zap.Error(err))
	}
}

// notRun logs that a collection was not run, because of err or because another node did, and returns the error for the caller.
func (c *Collector) notRun(cause Cause, err error) error {
	var taken *mirror.LeaseTakenError
	switch {
	case errors.As(err, &taken):
		c.log.Info("another node is collecting", zap.String("cause", string(cause)), zap.String("node", taken.Node))
		return mirror.Errorf(mirror.CodeUnavailable, "a collection is running on node %s: wait for it to end", taken.Node)
	case err != nil && !errors.Is(err, context.Canceled):
		c.log.Error("collection was not started", zap.String("cause", string(cause)), zap.Error(err))
	}
	return err
}
