package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// maxCommits is the maximum number of blobs that are committed while the next ones are read. Disks sync several files
// faster than one after the other. Each uncommitted blob has some hundred KiB in memory.
const maxCommits = 16

// committer commits blobs concurrently. Use newCommitter.
type committer struct {
	slots chan struct{}
	work  sync.WaitGroup

	mu  sync.Mutex
	err error // the first one
}

func newCommitter() *committer { return &committer{slots: make(chan struct{}, maxCommits)} }

// run calls f concurrently when a slot is free. It returns the first error so far.
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

// wait waits for all calls. It returns the first error of a call, and err if no call has failed.
func (c *committer) wait(err error) error {
	c.work.Wait()
	return cmp.Or(c.err, err)
}

// receive stores the missing content of a bundle.
func (in *importer) receive(ctx context.Context) error {
	all := newCommitter()
	err := in.receiveEntries(ctx, all)
	return all.wait(err)
}

// receiveEntries reads all entries. After the manifests, and before the first blob, it inspects the manifests: an
// inconsistent bundle is rejected before terabytes are received.
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

// receiveEntry stores an entry, or the part of it in this volume, unless the content is stored already.
func (in *importer) receiveEntry(ctx context.Context, e *bundle.Entry, all *committer) error {
	if in.split == nil {
		if !in.missing[e.Digest] {
			in.AddDone(e.Size)
			return nil
		}
		return in.storeEntry(ctx, e, all)
	}
	if !in.missing[e.Digest] {
		in.AddDone(min(e.Size-e.Skipped, in.split.end-in.reader.Offset()))
		return nil
	}
	if done, err := in.receiveSplit(ctx, e, all); err != nil || done {
		return err
	}
	return in.storeEntry(ctx, e, all)
}

// storeEntry stores an entry. The blob is committed while the next entry is read.
func (in *importer) storeEntry(ctx context.Context, e *bundle.Entry, all *committer) error {
	in.SetCurrent("receiving " + e.Digest.String())
	incoming, err := in.service.store.Receive(ctx, e.Digest)
	if err != nil {
		return err
	}
	if _, err := io.Copy(incoming, &countingReader{ctx, e, in}); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	return all.run(func() error { return in.commit(ctx, incoming, e.Size) })
}

// commit makes a blob durable. If another client stored it meanwhile, it is not recorded as added, so that it is never
// discarded.
func (in *importer) commit(ctx context.Context, incoming mirror.BlobWriter, size int64) error {
	if d := incoming.Digest(); d != "" {
		if stored, err := in.service.isIntact(ctx, d, size); err == nil && stored {
			return incoming.Abort()
		}
	}
	if err := incoming.Commit(ctx, mirror.Repo{}); err != nil {
		return errors.Join(damagedEntry(incoming.Digest(), size, err), incoming.Abort())
	}
	in.recordAdded(incoming.Digest(), size)
	return nil
}

// damagedEntry says that the archive is damaged if the content of an entry has another digest.
func damagedEntry(d digest.Digest, size int64, err error) error {
	if mirror.CodeOf(err) != mirror.CodeDigestInvalid {
		return err
	}
	return mirror.Errorf(mirror.CodeDigestInvalid, "the archive is damaged in %s (%s): copy it again and repeat the import: %w", d, humanize.IBytes(uint64(size)), err)
}

// recordAdded records a blob that this import committed.
func (in *importer) recordAdded(d digest.Digest, size int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.added[d] = size
}

// countingReader counts the bytes of an entry as progress. It returns an error when its context ends.
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
	c.in.AddDone(int64(n))
	return n, err
}
