package cache

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// largeReads is how many manifests too large to be kept in memory are read at a time.
const largeReads = 4

// largeManifests have those who want the same large manifest at the same time read it once and share its bytes, and bound
// how many are read at a time. Use newLargeManifests.
type largeManifests struct {
	slots chan struct{}

	mu    sync.Mutex
	reads map[digest.Digest]*largeRead
}

// largeRead is a large manifest that is being read. What follows done may be read once that is closed.
type largeRead struct {
	done chan struct{}
	data []byte
	err  error
}

func newLargeManifests() *largeManifests {
	return &largeManifests{slots: make(chan struct{}, largeReads), reads: make(map[digest.Digest]*largeRead)}
}

// get returns what read returns, which goes on when its callers have left.
func (l *largeManifests) get(ctx context.Context, d digest.Digest, read func(context.Context) ([]byte, error)) ([]byte, error) {
	current := l.join(ctx, d, read)
	select {
	case <-current.done:
		return current.data, current.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *largeManifests) join(ctx context.Context, d digest.Digest, read func(context.Context) ([]byte, error)) *largeRead {
	l.mu.Lock()
	defer l.mu.Unlock()
	if current, known := l.reads[d]; known {
		return current
	}
	current := &largeRead{done: make(chan struct{})}
	l.reads[d] = current
	go func() {
		l.slots <- struct{}{}
		current.data, current.err = read(context.WithoutCancel(ctx))
		l.mu.Lock()
		delete(l.reads, d)
		l.mu.Unlock()
		close(current.done)
		<-l.slots
	}()
	return current
}

// OpenManifest implements [mirror.ManifestStore].
func (s *Store) OpenManifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	record, err := s.manifestRecord(ctx, content{repo, d})
	if err != nil {
		return mirror.Blob{}, explain(err, "look up manifest %s in %s", d, repo)
	}
	blob, err := s.openStored(ctx, d, blobRecord{Size: record.Size})
	if err != nil {
		if _, err := s.manifestRecord(ctx, content{repo, d}); err != nil { // it was collected in between
			return mirror.Blob{}, err
		}
		return mirror.Blob{}, explain(err, "open manifest %s of %s", d, repo)
	}
	return blob, nil
}
