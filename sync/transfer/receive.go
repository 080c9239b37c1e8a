package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// maxCommits is how many blobs are made durable while the next ones are read: the disk takes its time for each, and is
// better used by several. What is not hashed yet of them is in memory, some hundred KiB each.
const maxCommits = 16

// commits are blobs that are being made durable. The zero value is not ready.
type committer struct {
	slots chan struct{}
	work  sync.WaitGroup

	mu  sync.Mutex
	err error // the first one
}

func newCommitter() *committer { return &committer{slots: make(chan struct{}, maxCommits)} }

// do has f done, when there is room. It returns what went wrong so far.
func (c *committer) run(f func() error) error {
	c.slots <- struct{}{}
	c.work.Go(func() {
		defer func() { <-c.slots }()
		if err := f(); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.err == nil {
				c.err = err
			}
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// wait waits for all of them, and returns the first error of theirs: that came before err, what the caller ended with.
func (c *committer) wait(err error) error {
	c.work.Wait()
	return cmp.Or(c.err, err)
}

// receive takes in what is lacking of a bundle.
func (in *importer) receive(ctx context.Context) error {
	all := newCommitter()
	err := in.receiveEntries(ctx, all)
	return all.wait(err)
}

// entries takes in one entry after the other. When the manifests have come, and before anything else does, they are
// inspected: nobody has to wait for terabytes to be told that they do not fit.
func (in *importer) receiveEntries(ctx context.Context, all *committer) error {
	for {
		e, err := in.reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !e.Manifest && !in.inspected {
			if err := all.wait(nil); err != nil {
				return err
			}
			if err := in.inspect(ctx); err != nil {
				return err
			}
		}
		if err := in.receiveEntry(ctx, e, all); err != nil {
			return err
		}
	}
}

// take takes in an entry, or what there is of it, unless it is held.
func (in *importer) receiveEntry(ctx context.Context, e *bundle.Entry, all *committer) error {
	if in.split == nil {
		if !in.missing[e.Digest] {
			in.Did(e.Size)
			return nil
		}
		return in.storeEntry(ctx, e, all)
	}
	if !in.missing[e.Digest] {
		in.Did(min(e.Size-e.Skipped, in.split.end-in.reader.Offset()))
		return nil
	}
	if done, err := in.receiveSplit(ctx, e, all); err != nil || done {
		return err
	}
	return in.storeEntry(ctx, e, all)
}

// entry takes in one entry; it is committed while the next one is read.
func (in *importer) storeEntry(ctx context.Context, e *bundle.Entry, all *committer) error {
	in.Doing("receiving " + e.Digest.String())
	incoming, err := in.service.store.Receive(ctx, e.Digest)
	if err != nil {
		return err
	}
	if _, err := io.Copy(incoming, &countingReader{ctx, e, in}); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	return all.run(func() error { return in.commit(ctx, incoming, e.Size) })
}

// commit makes a blob durable. One that somebody else brought meanwhile is not this import's to discard.
func (in *importer) commit(ctx context.Context, incoming mirror.BlobWriter, size int64) error {
	if d := incoming.Digest(); d != "" {
		if held, err := in.service.isIntact(ctx, d, size); err == nil && held {
			return incoming.Abort()
		}
	}
	if err := incoming.Commit(ctx, mirror.Repo{}); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	in.recordAdded(incoming.Digest(), size)
	return nil
}

// came notes what was committed.
func (in *importer) recordAdded(d digest.Digest, size int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.added[d] = size
}

// counted counts what is read of an entry as done, and ends with its context.
type countingReader struct {
	ctx context.Context
	r   io.Reader
	in  *importer
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.in.Did(int64(n))
	return n, err
}
