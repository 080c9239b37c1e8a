package cache

import (
	"context"
	"errors"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// errFileDeleted means that another node has deleted a file before its entry was added. What was written is lost, and nothing
// was acknowledged: the caller writes it again.
var errFileDeleted = errors.New("another node has deleted the same content at this moment: send it again")

// linkStored makes blob d readable in repo if it is stored already, and drops the same content in w. It is for nodes that share
// blobs: a sweep deletes a blob together with its entry, so what has an entry at the end of the transaction is stored, and it
// is used by then. Otherwise w must be committed, which does not rely on what is stored.
func (s *Store) linkStored(ctx context.Context, repo mirror.Repo, w backend.Writer, d digest.Digest, link linkFunc) (done bool, err error) {
	if s.named == nil || repo == (mirror.Repo{}) || w.Verify(d) != nil { // the commit reports wrong content
		return false, nil
	}
	stored := false
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		stored = has(tx, tableBlobs, d.String())
		return nil
	})
	if err != nil || !stored {
		return false, err
	}
	if err := s.checkStored(ctx, d); err != nil {
		return false, err
	}
	err = s.index.Update(context.WithoutCancel(ctx), blobLocks(repo, d), func(tx backend.WriteTx) error {
		tx.Prefetch(s.fileKeys(repo, d))
		if done = has(tx, tableBlobs, d.String()) && fileStored(tx, s.named, d); !done {
			return nil
		}
		return link(tx, repo, d, s.Now())
	})
	if err != nil || !done {
		return false, err
	}
	return true, w.Abort()
}

// fileKeys are blobKeys and the row of the file.
func (s *Store) fileKeys(repo mirror.Repo, d digest.Digest) iter.Seq[backend.Key] {
	return func(yield func(backend.Key) bool) {
		if s.named != nil && !yield(s.named.Row(d)) {
			return
		}
		blobKeys(repo, d)(yield)
	}
}
