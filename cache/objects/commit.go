package objects

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/objects/s3"
	"airmirror/mirror"
)

// Commit implements [backend.Writer]. It always stores what was written: nobody relies on an object that another node may be
// about to delete.
func (w *writer) Commit(ctx context.Context, d digest.Digest) error {
	if w.closed {
		return errClosed
	}
	if err := w.Verify(d); err != nil {
		if mirror.CodeOf(err) == mirror.CodeDigestInvalid {
			w.partial = false // the content is wrong
		}
		return errors.Join(err, w.discard())
	}
	if err := w.commit(ctx, d); err != nil {
		if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
			w.partial = false // it cannot be continued
		}
		return errors.Join(explain(err, "commit", d), w.discard())
	}
	w.close(false)
	return nil
}

func (w *writer) commit(ctx context.Context, d digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, own, err := w.finish()
	if errors.Is(err, s3.ErrNoUpload) {
		return mirror.Errorf(mirror.CodeBlobUploadUnknown, "blob upload %s cannot be completed: start it again: %w", w.id, err)
	}
	if err == nil {
		err = w.name(ctx, d, c)
	}
	if err != nil {
		if own {
			err = errors.Join(err, w.objects.noteUnnamed(d, c))
		}
		return err
	}
	if c.Key != "" {
		w.objects.verified.add(c.Key)
		w.intoCache(c.Key)
	}
	return nil
}

// name makes the complete content visible as blob d.
func (w *writer) name(ctx context.Context, d digest.Digest, c content) error {
	row := objectRow{content: c, Size: w.Size(), Written: time.Now().UTC(), Generation: uuid.NewString()}
	var replaced objectRow
	err := w.objects.index.Update(ctx, backend.Locks{Exclusive: []string{lockedDigest(d), lockedUpload(w.id)}}, func(tx backend.WriteTx) (err error) {
		if err := w.checkGeneration(tx); err != nil {
			return err
		}
		if w.saved {
			if err := discardUpload(tx, w.id, w.row, c.Key); err != nil {
				return err
			}
		}
		if replaced, _, err = getRow[objectRow](tx, tableObjects, d.String()); err != nil {
			return err
		}
		return errors.Join(discard(tx, replaced.content), putRow(tx, tableObjects, d.String(), row))
	})
	if err == nil {
		w.objects.cache.drop(replaced.Key)
	}
	return err
}

// noteUnnamed notes an object for deletion, unless the index names it after all: the outcome of a transaction can be unknown.
func (o *Objects) noteUnnamed(d digest.Digest, c content) error {
	return o.index.Update(o.ctx, backend.Locks{Exclusive: []string{lockedDigest(d)}}, func(tx backend.WriteTx) error {
		row, _, err := getRow[objectRow](tx, tableObjects, d.String())
		if err != nil || row.Key == c.Key {
			return err
		}
		return discard(tx, c)
	})
}

// intoCache moves the content into the cache, if all of it is on this node.
func (w *writer) intoCache(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.spool; s != nil && s.from == 0 && w.objects.cache.add(key, s.path, w.Size()) {
		s.file.Close()
		w.spool, w.stored = nil, w.objects.cache.path(fileName(key))
	}
}

// Abort implements [backend.Writer].
func (w *writer) Abort() error {
	if w.closed {
		return nil
	}
	if err := w.discard(); err != nil {
		return fmt.Errorf("abort blob upload %s: %w", w.id, err)
	}
	return nil
}

// discard closes the writer and drops what it wrote, but not a partial blob that it continued.
func (w *writer) discard() error {
	w.close(false)
	if !w.saved || w.partial {
		return nil
	}
	return w.objects.index.Update(w.objects.ctx, backend.Locks{Exclusive: []string{lockedUpload(w.id)}}, func(tx backend.WriteTx) error {
		now, found, err := getRow[uploadRow](tx, tableUploads, w.id)
		if err != nil || !found || now.Generation != w.row.Generation {
			return err // another writer has it
		}
		return discardUpload(tx, w.id, now, "")
	})
}
