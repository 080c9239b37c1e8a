package objects

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// justVerified is how long [Objects.Check] need not read an object again.
const justVerified = time.Minute

// Check implements [backend.Blobs]. It reads the object, not the cache. If the object is being read into the cache, it waits for
// the result, so that the first reader of a blob costs one request.
func (o *Objects) Check(ctx context.Context, d digest.Digest, before func(context.Context, int) error) (reason string, err error) {
	row, err := o.object(ctx, d)
	if err != nil {
		return "", explain(err, "check", d)
	}
	o.mu.Lock()
	f := o.fills[row.Key]
	o.mu.Unlock()
	if f == nil && row.Key != "" && o.verified.within(row.Key, justVerified) {
		return "", nil
	}
	if f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		switch {
		case f.err == io.EOF:
			return "", nil
		case errors.Is(f.err, errDamaged):
			return "it is damaged: the content of its object has another digest", nil
		}
		return "", explain(f.err, "check", d)
	}
	blob, err := o.openStored(ctx, row)
	if err != nil {
		return "", explain(err, "check", d)
	}
	defer blob.Close()
	reason, err = backend.CheckContent(ctx, blob, d, make([]byte, mirror.MaxCheckRead), before)
	if err == nil && reason == "" && row.Key != "" {
		o.verified.add(row.Key)
	}
	return reason, explain(err, "check", d)
}

// openStored opens what is in the bucket, or in the index.
func (o *Objects) openStored(ctx context.Context, row objectRow) (mirror.Blob, error) {
	if row.Key == "" {
		r := &inlineReader{}
		r.Reset(row.Inline)
		return mirror.Blob{ReadSeekCloser: r, Size: row.Size}, nil
	}
	r, err := o.bucket.Open(ctx, row.Key, row.Size)
	if err != nil {
		return mirror.Blob{}, err
	}
	return mirror.Blob{ReadSeekCloser: r, Size: row.Size}, nil
}

// Quarantine implements [backend.Blobs]. check reads the object, not the cache. A damaged object stays in the bucket under its
// name, which the table of the quarantine has; an object that was quarantined under the same digest before is deleted. A blob
// that is committed meanwhile is another object, so no commit has to wait.
func (o *Objects) Quarantine(ctx context.Context, d digest.Digest, check func(mirror.Blob) (string, error)) (moved bool, err error) {
	row, err := o.object(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	if err != nil {
		return false, explain(err, "quarantine", d)
	}
	blob, err := o.openStored(ctx, row)
	if err != nil {
		return o.removeLost(ctx, d, row, err)
	}
	defer blob.Close()
	reason, err := check(blob)
	if reason == "" || err != nil {
		return false, explain(err, "quarantine", d)
	}
	if err := o.moveToQuarantine(ctx, d, row, reason); err != nil {
		return false, explain(err, "quarantine", d)
	}
	return true, nil
}

// removeLost deletes the row of an object that does not exist, or has another size. The blob is not stored then.
func (o *Objects) removeLost(ctx context.Context, d digest.Digest, row objectRow, err error) (moved bool, _ error) {
	err = explain(err, "quarantine", d)
	if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		return false, err
	}
	return false, explain(o.moveToQuarantine(ctx, d, row, err.Error()), "quarantine", d)
}

// moveToQuarantine moves the row of an object, unless the blob was stored again meanwhile. Content in a row has no key that would
// tell.
func (o *Objects) moveToQuarantine(ctx context.Context, d digest.Digest, row objectRow, reason string) error {
	err := o.index.Update(ctx, backend.Locks{Exclusive: []string{lockedDigest(d)}}, func(tx backend.WriteTx) error {
		now, found, err := getRow[objectRow](tx, tableObjects, d.String())
		if err != nil || !found || now.Generation != row.Generation {
			return err
		}
		before, _, err := getRow[quarantineRow](tx, tableQuarantine, d.String())
		if err != nil {
			return err
		}
		moved := quarantineRow{content: row.content, Size: row.Size, Reason: reason, Moved: time.Now().UTC()}
		return errors.Join(discard(tx, before.content), putRow(tx, tableQuarantine, d.String(), moved), tx.Delete(tableObjects, d.String()))
	})
	if err == nil {
		o.cache.drop(row.Key)
	}
	return err
}
