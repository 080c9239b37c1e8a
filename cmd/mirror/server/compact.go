package server

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"
)

// minCompacted is the least free space in the index for which a server compacts it, in bytes.
const minCompacted = 32 << 20

// compactIndex compacts the index in the background if more than half of its file is free, as after a large collection.
// stop interrupts it, which leaves the index as it was, and waits for its end.
func (s *server) compactIndex(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.compactIfHalfFree(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("more than half of the index is free, and it cannot be compacted", zap.Error(err))
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}

func (s *server) compactIfHalfFree(ctx context.Context) error {
	size, free, err := s.store.IndexUsage()
	if err != nil || free < minCompacted || free <= size/2 {
		return err
	}
	if err := s.capacity.Check(size - free); err != nil {
		return err
	}
	s.log.Info("compacting the index: changes wait, reads do not", zap.Int64("bytes", size), zap.Int64("free", free))
	before, after, err := s.store.CompactIndex(ctx)
	if err == nil {
		s.log.Info("the index is compacted", zap.Int64("before", before), zap.Int64("after", after))
	}
	return err
}
