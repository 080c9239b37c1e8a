package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"airmirror/api/middleware"
	"airmirror/cache"
	"airmirror/cache/cluster"
	"airmirror/cmd/mirror/config"
)

// nodeState are the kinds of state in the store that belong to one node: its jobs, the pulls that it has counted, and its
// verifications. Each of them is in the memory of a node, which writes all of it.
var nodeState = []string{"job", "pulls", "verify"}

// openNode opens a shared store as the node of a data folder.
func openNode(ctx context.Context, settings config.Config, opts cache.Options) (*cluster.Node, error) {
	c, err := settings.Cluster()
	if err != nil {
		return nil, &Error{InvalidConfig, err}
	}
	c.Options = opts
	c.NodeState = nodeState
	node, err := cluster.Open(ctx, c)
	if errors.Is(err, cache.ErrInUse) {
		return nil, inUse(settings.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the shared store: %w", err)
	}
	return node, nil
}

// IsShared reports whether the store is shared: by the settings of a command, or because the data folder is that of a node.
func IsShared(settings config.Config) bool {
	return settings.Store.Shared() || cluster.IsNode(settings.Data)
}

// CheckDirect returns an error if a command cannot open the mirror of a data folder by itself, because the store is shared:
// only the server of the node knows the settings of the store and what the node is working on.
func CheckDirect(settings config.Config) error {
	if !IsShared(settings) {
		return nil
	}
	return &Error{UnusableData, fmt.Errorf("the store of %s is shared with other nodes, and its server does not run: start it with 'mirror serve', and repeat the command", settings.Data)}
}

// nodeChecks returns the conditions for a node to be ready.
func (s *server) nodeChecks() []middleware.Check {
	return []middleware.Check{
		{Name: "the data folder is not writable", Run: func(context.Context) error { return tryWrite(s.settings.Data) }},
		{Name: "PostgreSQL does not answer", Run: s.node.PingIndex},
		{Name: "the object storage does not answer", Run: s.node.PingBucket},
	}
}

// cleanPeriod is how often a node looks whether the bucket is to be cleaned.
const cleanPeriod = 10 * time.Minute

// cleanBucket deletes objects that nothing names any more, until ctx ends or stop is called.
func (s *server) cleanBucket(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(cleanPeriod)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if deleted, err := s.node.Clean(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("cannot delete all objects that are not used any more", zap.Error(err))
			} else if deleted > 0 {
				s.log.Info("deleted objects that are not used any more", zap.Int("objects", deleted))
			}
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}
