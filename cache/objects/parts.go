package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// maxSending is the number of parts of one upload that are sent at the same time.
const maxSending = 3

// newKey returns the name of a new object for the content of an upload.
func newKey(id string) string { return id + "/" + uuid.NewString() }

// sendParts begins to send parts, as long as at least a number of bytes is not sent yet. It waits while too many are being sent.
func (w *writer) sendParts(least int64) error {
	for w.Size()-w.sent >= least {
		if err := w.sendPart(partSize); err != nil {
			return err
		}
	}
	return nil
}

// sendPart begins to send the next bytes as a part.
func (w *writer) sendPart(size int64) error {
	s, err := w.open()
	if err != nil {
		return err
	}
	if err := w.beginParts(); err != nil {
		return err
	}
	if w.group == nil {
		w.group, w.sending = errgroup.WithContext(w.objects.ctx)
		w.group.SetLimit(maxSending)
	}
	if err := context.Cause(w.sending); err != nil {
		return err
	}
	p, number, at := &part{Size: size}, len(w.parts)+1, w.sent
	w.parts, w.sent = append(w.parts, p), w.sent+size
	m, bucket, ctx := w.row.Multipart, w.objects.bucket, w.sending
	w.group.Go(func() error {
		sum, err := sha256Of(s.section(at, at+size))
		if err == nil {
			p.Tag, err = bucket.PutPart(ctx, m.Key, m.Upload, number, s.section(at, at+size), size, sum)
		}
		return err
	})
	return nil
}

// awaitParts waits until the parts are sent.
func (w *writer) awaitParts() error {
	if w.group == nil {
		return nil
	}
	err := w.group.Wait()
	if err == nil {
		w.group, w.sending = nil, nil
	}
	return err
}

// beginParts begins a multipart upload, and records it before there is a part: so it can be deleted whatever happens.
func (w *writer) beginParts() error {
	if w.row.Multipart.Key != "" {
		return nil
	}
	key := newKey(w.id)
	upload, err := w.objects.bucket.BeginParts(w.objects.ctx, key)
	if err != nil {
		return err
	}
	row := w.row
	row.Multipart = multipart{Key: key, Upload: upload}
	return w.saveRow(row, nil)
}

// putRest writes the bytes that are not sent as parts to an object of their own.
func (w *writer) putRest() (key string, err error) {
	s, err := w.open()
	if err != nil {
		return "", err
	}
	sum, err := sha256Of(s.section(w.sent, w.Size()))
	if err != nil {
		return "", err
	}
	key = newKey(w.id)
	return key, w.objects.bucket.Put(w.objects.ctx, key, s.section(w.sent, w.Size()), w.Size()-w.sent, sum)
}

func sha256Of(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}

// readRest returns the bytes that are not sent as parts, which are few.
func (w *writer) readRest() ([]byte, error) {
	size := w.Size() - w.sent
	if w.rest != nil && w.rest.Rest.Key == "" {
		return w.rest.Rest.Inline[:size], nil
	}
	if size == 0 {
		return nil, nil
	}
	s, err := w.open()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(s.section(w.sent, w.Size()))
}

// finish completes the content. own is set if the row of the upload does not have the object.
func (w *writer) finish() (c content, own bool, err error) {
	if len(w.parts) == 0 && w.Size() > maxInline {
		if w.rest != nil && w.rest.RestSize == w.Size() {
			return w.rest.Rest, false, nil
		}
		if w.Size() <= partSize {
			c.Key, err = w.putRest()
			return c, true, err
		}
	}
	if len(w.parts) == 0 && w.Size() <= maxInline {
		c.Inline, err = w.readRest()
		return c, false, err
	}
	if err := w.sendParts(partSize + 1); err != nil {
		return c, false, err
	}
	if rest := w.Size() - w.sent; rest > 0 {
		if err := w.sendPart(rest); err != nil {
			return c, false, err
		}
	}
	if err := w.awaitParts(); err != nil {
		return c, false, err
	}
	m, tags := w.row.Multipart, make([]string, len(w.parts))
	for i, p := range w.parts {
		tags[i] = p.Tag
	}
	return content{Key: m.Key}, false, w.objects.bucket.CompleteParts(w.objects.ctx, m.Key, m.Upload, tags, w.Size())
}

// saveRow writes the row of the upload, and notes the objects that it does not have any more for deletion. It fails if another
// writer has written the row.
func (w *writer) saveRow(row uploadRow, discarded []content) error {
	row.Generation, row.Written = uuid.NewString(), time.Now().UTC()
	err := w.objects.index.Update(w.objects.ctx, backend.Locks{Exclusive: []string{lockedUpload(w.id)}}, func(tx backend.WriteTx) error {
		if err := w.checkGeneration(tx); err != nil {
			return err
		}
		for _, c := range discarded {
			if err := discard(tx, c); err != nil {
				return err
			}
		}
		return putRow(tx, tableUploads, w.id, row)
	})
	if err == nil {
		w.row, w.saved = row, true
	}
	return err
}

// checkGeneration returns an error if another writer has written the row, or deleted it.
func (w *writer) checkGeneration(tx backend.ReadTx) error {
	if !w.saved {
		return nil
	}
	now, found, err := getRow[uploadRow](tx, tableUploads, w.id)
	switch {
	case err != nil:
		return err
	case !found:
		return errUploadUnknown(w.id)
	case now.Generation != w.row.Generation:
		return mirror.Errorf(mirror.CodeUploadBusy, "upload %s was continued by another request: ask for its size, and go on from there", w.id)
	}
	return nil
}

func errUploadUnknown(id string) error {
	return mirror.Errorf(mirror.CodeBlobUploadUnknown, "blob upload %s is unknown: it was completed, canceled or never started", id)
}
