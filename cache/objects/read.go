package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/objects/s3"
	"airmirror/mirror"
)

// inlineReader reads content of the index.
type inlineReader struct {
	bytes.Reader
	verified bool
}

func (*inlineReader) Close() error { return nil }

// Open implements [backend.Blobs]. The blob's ReadSeekCloser is an *os.File if the cache has the blob. Otherwise it reads along
// while the cache is filled.
func (o *Objects) Open(ctx context.Context, d digest.Digest) (mirror.Blob, error) {
	row, err := o.object(ctx, d)
	if err != nil {
		return mirror.Blob{}, explain(err, "open", d)
	}
	blob := mirror.Blob{Size: row.Size}
	if row.Key == "" {
		r := &inlineReader{verified: d.Algorithm().FromBytes(row.Inline) == d}
		r.Reset(row.Inline)
		blob.ReadSeekCloser = r
		return blob, nil
	}
	if file := o.cache.open(row.Key, row.Size, d); file != nil {
		blob.ReadSeekCloser = file
		return blob, nil
	}
	blob.ReadSeekCloser, err = o.openFill(ctx, d, row)
	return blob, explain(err, "open", d)
}

// explain says what was done. An object that is missing or too short means that the blob is not stored.
func explain(err error, doing string, d digest.Digest) error {
	var size *s3.SizeError
	switch {
	case err == nil || mirror.CodeOf(err) != mirror.CodeUnknown:
		return err
	case errors.Is(err, s3.ErrNotFound) || errors.As(err, &size):
		return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored any more: %w", d, err)
	}
	return fmt.Errorf("%s blob %s: %w", doing, d, err)
}

// Stat implements [backend.Blobs].
func (o *Objects) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	row, err := o.object(ctx, d)
	return row.Size, explain(err, "look up", d)
}

// Describe implements [backend.Blobs].
func (o *Objects) Describe(ctx context.Context, d digest.Digest) (backend.StoredBlob, error) {
	row, err := o.object(ctx, d)
	if err != nil {
		return backend.StoredBlob{}, explain(err, "look up", d)
	}
	return backend.StoredBlob{Digest: d, Size: row.Size, Written: row.Written}, nil
}

// Delete implements [backend.Blobs]. The object stays until [Objects.Clean] deletes it.
func (o *Objects) Delete(ctx context.Context, d digest.Digest) error {
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return err
	}
	var row objectRow
	err := o.index.Update(ctx, backend.Locks{Exclusive: []string{lockedDigest(d)}}, func(tx backend.WriteTx) (err error) {
		var found bool
		if row, found, err = getRow[objectRow](tx, tableObjects, d.String()); err != nil || !found {
			return err
		}
		return errors.Join(discard(tx, row.content), tx.Delete(tableObjects, d.String()))
	})
	if err == nil {
		o.cache.drop(row.Key)
	}
	return explain(err, "delete", d)
}

// pageSize is the number of rows that are read in one transaction.
const pageSize = 1000

// All implements [backend.Blobs].
func (o *Objects) All(ctx context.Context) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for key, err := range o.rows(ctx, tableObjects) {
			if err != nil {
				err = fmt.Errorf("list blobs: %w", err)
			}
			if !yield(digest.Digest(key.key), err) {
				return
			}
		}
	}
}

// indexRow is a row of a table.
type indexRow struct {
	key   string
	value []byte
}

// rows yields the rows of a table, page by page, so that no transaction stays open. It ends after an error.
func (o *Objects) rows(ctx context.Context, table backend.Table) iter.Seq2[indexRow, error] {
	return func(yield func(indexRow, error) bool) {
		after := ""
		for {
			var page []indexRow
			err := o.index.View(ctx, func(tx backend.ReadTx) error {
				page = nil
				for key, value := range tx.Scan(table, "", after) {
					if page = append(page, indexRow{key, bytes.Clone(value)}); len(page) == pageSize {
						break
					}
				}
				return nil
			})
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(indexRow{}, err)
				return
			}
			for _, row := range page {
				if after = row.key; !yield(row, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// Verified implements [backend.Blobs].
func (o *Objects) Verified(_ digest.Digest, blob mirror.Blob) bool {
	switch r := blob.ReadSeekCloser.(type) {
	case *os.File: // verified before it was opened
		return true
	case *inlineReader:
		return r.verified
	case *fillReader:
		return o.verified.has(r.fill.key)
	}
	return false
}
