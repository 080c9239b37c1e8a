package proxy

import (
	"context"
	"sync"

	"airmirror/mirror"
)

const (
	// maxLargePushes is how many large manifests are parsed and stored at a time, and maxLargeQueue how many pushes may
	// wait for that.
	maxLargePushes = 2
	maxLargeQueue  = 64
	// maxLargeMemory is how many bytes of large manifests may stay in memory while their pushes wait for an upstream.
	maxLargeMemory = 32 << 20
)

// largePushes limits the memory that pushes of large manifests take. Each client has a share of each limit.
type largePushes struct {
	slots  chan struct{}
	queue  *mirror.Shares[string]
	memory *mirror.Shares[string]
}

func newLargePushes() *largePushes {
	return &largePushes{
		slots:  make(chan struct{}, maxLargePushes),
		queue:  mirror.NewShares[string](maxLargeQueue),
		memory: mirror.NewShares[string](maxLargeMemory),
	}
}

// acquire waits until a manifest of size bytes may be stored: its descriptors stay in memory until the manifest is
// stored, and the store writes one manifest at a time anyway. done may be called more than once.
func (l *largePushes) acquire(ctx context.Context, size int) (done func(), err error) {
	if size <= mirror.LargeManifest {
		return func() {}, nil
	}
	client := mirror.ClientOf(ctx)
	if !l.queue.Take(client, 1) {
		return nil, mirror.Errorf(mirror.CodeTooManyRequests, "too many clients push large manifests: try again in a moment")
	}
	defer l.queue.Give(client, 1)
	select {
	case l.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-l.slots }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reserve reports whether a pushed manifest of size bytes may stay in memory until an upstream has sent its blobs. If so,
// release must be called after that.
func (l *largePushes) reserve(ctx context.Context, size int) bool {
	return size <= mirror.LargeManifest || l.memory.Take(mirror.ClientOf(ctx), int64(size))
}

func (l *largePushes) release(ctx context.Context, size int) {
	if size > mirror.LargeManifest {
		l.memory.Give(mirror.ClientOf(ctx), int64(size))
	}
}
