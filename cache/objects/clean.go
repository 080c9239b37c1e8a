package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"airmirror/cache/backend"
)

// Clean deletes the objects that were noted for deletion before a time, and returns their number. It also drops what a
// process wrote without a label and did not finish, if its last write was before that time. The time must be so long ago that
// no node still reads one of the objects, nor still writes such content: a day is enough. One node at a time should call it.
func (o *Objects) Clean(ctx context.Context, before time.Time) (deleted int, err error) {
	if err := o.dropAbandoned(ctx, before); err != nil {
		return 0, fmt.Errorf("drop unfinished content: %w", err)
	}
	var keys []string
	var failures error
	for row, err := range o.rows(ctx, tableTrash) {
		if err != nil {
			failures = errors.Join(failures, err)
			break
		}
		trash, err := decodeRow[trashRow](tableTrash, row.key, row.value)
		if err == nil && !trash.Noted.Before(before) {
			continue
		}
		if err == nil && trash.Upload != "" { // it may have been completed: then there is an object
			err = o.bucket.AbortParts(ctx, row.key, trash.Upload)
		}
		if err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		keys = append(keys, row.key)
	}
	for page := range slices.Chunk(keys, pageSize) {
		err := o.bucket.Delete(ctx, page...)
		if err == nil {
			err = o.forget(ctx, page)
		}
		if err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		deleted += len(page)
	}
	if failures != nil {
		failures = fmt.Errorf("delete objects that are not used any more: %w", failures)
	}
	return deleted, failures
}

// forget deletes the notes of objects that were deleted.
func (o *Objects) forget(ctx context.Context, keys []string) error {
	return o.index.Update(ctx, backend.Locks{Exclusive: []string{"trash"}}, func(tx backend.WriteTx) (err error) {
		for _, key := range keys {
			err = errors.Join(err, tx.Delete(tableTrash, key))
		}
		return err
	})
}

// dropAbandoned deletes the rows of uploads that cannot be resumed.
func (o *Objects) dropAbandoned(ctx context.Context, before time.Time) error {
	for row, err := range o.rows(ctx, tableUploads) {
		if err != nil {
			return err
		}
		upload, err := decodeRow[uploadRow](tableUploads, row.key, row.value)
		if err != nil {
			return err
		}
		if upload.resumable() || !upload.Written.Before(before) {
			continue
		}
		err = o.index.Update(ctx, backend.Locks{Exclusive: []string{lockedUpload(row.key)}}, func(tx backend.WriteTx) error {
			now, found, err := getRow[uploadRow](tx, tableUploads, row.key)
			if err != nil || !found || now.Generation != upload.Generation {
				return err
			}
			return discardUpload(tx, row.key, now, "")
		})
		if err != nil {
			return err
		}
	}
	return nil
}
