package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"airmirror/cache/backend"
	"airmirror/cache/objects/s3"
)

const (
	// markerKey is the object that says to which index a bucket belongs.
	markerKey = "airmirror.json"
	// idKey is the key of the identity in the index.
	idKey = "id"
	// markerSize is the size of every marker.
	markerSize = 128
)

// idRow is the identity of the index, and the content of the marker.
type idRow struct {
	ID string `json:"id"`
	// Place is the bucket and the prefix where the marker was first written; only in the index.
	Place string `json:"place,omitempty"`
}

// checkBucket returns an error if the bucket belongs to another index, or if a right is missing. Each start of a node makes
// and deletes one object to find that out.
func (o *Objects) checkBucket(ctx context.Context) error {
	id, err := o.indexID(ctx)
	if err != nil {
		return err
	}
	switch err := o.checkMarker(ctx, id); {
	case errors.Is(err, s3.ErrNotFound):
		if err := o.writeMarker(ctx, id); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return o.checkRights(ctx)
}

// indexID returns the identity of the index, and gives it one the first time. Nodes that start together get the same one.
func (o *Objects) indexID(ctx context.Context) (id string, err error) {
	read := func(tx backend.ReadTx) error {
		row, _, err := getRow[idRow](tx, tableBucket, idKey)
		id = row.ID
		return err
	}
	if err := o.index.View(ctx, read); err != nil || id != "" {
		return id, err
	}
	err = o.index.Update(ctx, backend.Locks{Exclusive: []string{"bucket"}}, func(tx backend.WriteTx) error {
		if err := read(tx); err != nil || id != "" {
			return err
		}
		id = uuid.NewString()
		return putRow(tx, tableBucket, idKey, idRow{ID: id})
	})
	return id, err
}

// checkMarker compares the marker of the bucket with the identity of the index. It returns [s3.ErrNotFound] if there is none.
func (o *Objects) checkMarker(ctx context.Context, id string) error {
	r, err := o.bucket.Open(ctx, markerKey, markerSize)
	if err != nil {
		return err
	}
	defer r.Close()
	marker, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var found idRow
	if err := json.Unmarshal(marker, &found); err != nil {
		return fmt.Errorf("%s: its object %s cannot be read: %w", o.bucket, markerKey, err)
	}
	if found.ID != id {
		return fmt.Errorf("%s belongs to another cluster (%s, and the database to %s): use another bucket or prefix, or the database of that cluster",
			o.bucket, found.ID, id)
	}
	return nil
}

// writeMarker writes the marker into a bucket that is new: the index has no objects yet, and no other node has begun with
// another bucket.
func (o *Objects) writeMarker(ctx context.Context, id string) error {
	place, known, used := o.options.S3.Bucket+"/"+o.options.S3.Prefix, "", false
	err := o.index.Update(ctx, backend.Locks{Exclusive: []string{"bucket"}}, func(tx backend.WriteTx) error {
		used = false
		for _, table := range []backend.Table{tableObjects, tableUploads} {
			for range tx.Scan(table, "", "") {
				used = true
				break
			}
		}
		row, _, err := getRow[idRow](tx, tableBucket, idKey)
		if known = row.Place; err != nil || used || known != "" {
			return err
		}
		return putRow(tx, tableBucket, idKey, idRow{ID: id, Place: place})
	})
	if err != nil {
		return err
	}
	if used || known != "" && known != place {
		return fmt.Errorf("%s has no object %s, but the database is in use with a bucket that has one: it is the wrong bucket or prefix, or its content was deleted",
			o.bucket, markerKey)
	}
	marker, err := json.Marshal(idRow{ID: id})
	if err != nil {
		return err
	}
	marker = append(marker, bytes.Repeat([]byte(" "), markerSize-len(marker))...)
	return o.put(ctx, markerKey, marker)
}

// put writes a small object.
func (o *Objects) put(ctx context.Context, key string, data []byte) error {
	sum := sha256.Sum256(data)
	return o.bucket.Put(ctx, key, bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:]))
}

// checkRights does once what the mirror does to objects.
func (o *Objects) checkRights(ctx context.Context) error {
	key := newKey("check")
	if err := o.put(ctx, key, []byte("This object can be deleted.\n")); err != nil {
		return err
	}
	upload, err := o.bucket.BeginParts(ctx, key)
	if err == nil {
		err = o.bucket.AbortParts(ctx, key, upload)
	}
	if deleted := o.bucket.Delete(ctx, key); err == nil {
		err = deleted
	}
	return err
}
