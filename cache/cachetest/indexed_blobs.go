package cachetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// IndexedBlobs returns blobs in memory that several stores share, for tests of these. They implement [backend.Indexed] with
// rows in a table of the index. They cannot be suspended.
func IndexedBlobs(index backend.Index, table backend.Table) backend.Blobs {
	return &indexedBlobs{index: index, table: table, content: make(map[string][]byte)}
}

type indexedBlobs struct {
	backend.Blobs
	index backend.Index
	table backend.Table

	mu      sync.Mutex
	content map[string][]byte // by the name in the row, which no other row ever has
}

// The row of a blob is the time when it was written, and the name of its content.
const rowTime = 8

func (b *indexedBlobs) Row(d digest.Digest) backend.Key {
	return backend.Key{Table: b.table, Key: d.String()}
}

func (b *indexedBlobs) Remove(tx backend.WriteTx, d digest.Digest, before time.Time) (size int64, removed bool, err error) {
	row := tx.Get(b.table, d.String())
	if row == nil || !rowWritten(row).Before(before) {
		return 0, false, nil
	}
	return int64(len(b.bytes(row))), true, tx.Delete(b.table, d.String())
}

func rowWritten(row []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(row))) }

func (b *indexedBlobs) bytes(row []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content[string(row[rowTime:])]
}

// row returns the row and the content of a blob.
func (b *indexedBlobs) row(ctx context.Context, d digest.Digest) (row, data []byte, err error) {
	err = b.index.View(ctx, func(tx backend.ReadTx) error {
		row = bytes.Clone(tx.Get(b.table, d.String()))
		return nil
	})
	if err == nil && row == nil {
		err = mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored", d)
	}
	if err != nil {
		return nil, nil, err
	}
	return row, b.bytes(row), nil
}

func (b *indexedBlobs) Open(ctx context.Context, d digest.Digest) (mirror.Blob, error) {
	_, data, err := b.row(ctx, d)
	return mirror.Blob{ReadSeekCloser: memoryBlob{bytes.NewReader(data)}, Size: int64(len(data))}, err
}

type memoryBlob struct{ *bytes.Reader }

func (memoryBlob) Close() error { return nil }

func (b *indexedBlobs) Verified(digest.Digest, mirror.Blob) bool { return true }

func (b *indexedBlobs) Check(ctx context.Context, d digest.Digest, _ func(context.Context, int) error) (reason string, err error) {
	_, data, err := b.row(ctx, d)
	if err == nil && d.Algorithm().FromBytes(data) != d {
		reason = "it is damaged"
	}
	return reason, err
}

func (b *indexedBlobs) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	_, data, err := b.row(ctx, d)
	return int64(len(data)), err
}

func (b *indexedBlobs) Describe(ctx context.Context, d digest.Digest) (backend.StoredBlob, error) {
	row, data, err := b.row(ctx, d)
	if err != nil {
		return backend.StoredBlob{}, err
	}
	return backend.StoredBlob{Digest: d, Size: int64(len(data)), Written: rowWritten(row)}, nil
}

func (b *indexedBlobs) All(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		var all []digest.Digest
		err := b.index.View(ctx, func(tx backend.ReadTx) error {
			for k := range tx.Scan(b.table, "", "") {
				all = append(all, digest.Digest(k))
			}
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		slices.Sort(all)
		for _, d := range all {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Quarantine finds nothing to move: the content is never damaged. A sweep may have deleted the blob.
func (b *indexedBlobs) Quarantine(ctx context.Context, d digest.Digest, check func(mirror.Blob) (string, error)) (bool, error) {
	blob, err := b.Open(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	reason, err := check(blob)
	if reason != "" {
		err = errors.Join(err, errors.New(reason))
	}
	return false, err
}

func (b *indexedBlobs) Create(_ context.Context, algorithm digest.Algorithm, label string) (backend.Writer, error) {
	return &indexedWriter{blobs: b, id: rand.Text(), label: label, algorithm: algorithm}, nil
}

// indexedWriter implements [backend.Writer].
type indexedWriter struct {
	bytes.Buffer
	blobs     *indexedBlobs
	id, label string
	algorithm digest.Algorithm
}

func (w *indexedWriter) ID() string    { return w.id }
func (w *indexedWriter) Label() string { return w.label }
func (w *indexedWriter) Size() int64   { return int64(w.Len()) }
func (w *indexedWriter) Abort() error  { return nil }
func (w *indexedWriter) Suspend() error {
	return errors.ErrUnsupported
}
func (w *indexedWriter) SuspendPartial() (mirror.PartialBlob, error) {
	return mirror.PartialBlob{}, errors.ErrUnsupported
}
func (w *indexedWriter) Tail() (mirror.Tail, error) { return nil, errors.ErrUnsupported }
func (w *indexedWriter) Digest() (digest.Digest, error) {
	return w.algorithm.FromBytes(w.Bytes()), nil
}

func (w *indexedWriter) ReadFrom(r io.Reader) (int64, error) { return w.Buffer.ReadFrom(r) }

func (w *indexedWriter) Verify(d digest.Digest) error {
	if d.Algorithm().FromBytes(w.Bytes()) != d {
		return mirror.Errorf(mirror.CodeDigestInvalid, "the content does not have digest %s", d)
	}
	return nil
}

func (w *indexedWriter) Commit(ctx context.Context, d digest.Digest) error {
	if err := w.Verify(d); err != nil {
		return err
	}
	b := w.blobs
	b.mu.Lock()
	b.content[w.id] = bytes.Clone(w.Bytes())
	b.mu.Unlock()
	row := append(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), w.id...)
	return b.index.Update(ctx, backend.Locks{Exclusive: []string{"digest " + d.String()}}, func(tx backend.WriteTx) error {
		return tx.Put(b.table, d.String(), row)
	})
}
