package objects

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// The tables of the index that this package uses, beside those of package cache.
const (
	// tableObjects: digest → objectRow.
	tableObjects backend.Table = "objects"
	// tableUploads: id → uploadRow.
	tableUploads backend.Table = "uploads"
	// tableTrash: name of an object that is to be deleted → trashRow.
	tableTrash backend.Table = "trash"
	// tableQuarantine: digest → quarantineRow.
	tableQuarantine backend.Table = "quarantine"
	// tableBucket: idKey → idRow.
	tableBucket backend.Table = "bucket"
)

// objectRow says where the content of a digest is.
type objectRow struct {
	content
	Size    int64     `json:"size"`
	Written time.Time `json:"written"`
	// Generation is another one for each time that the blob is stored.
	Generation string `json:"generation"`
}

// content is where bytes are: in an object or in the row itself. Both are empty if there are no bytes.
type content struct {
	Key    string `json:"key,omitempty"`
	Inline []byte `json:"inline,omitempty"`
}

// uploadRow is content that is not complete.
type uploadRow struct {
	Algorithm digest.Algorithm `json:"algorithm"`
	Label     []byte           `json:"label,omitempty"` // not a string: JSON would replace invalid UTF-8
	Partial   bool             `json:"partial,omitempty"`
	Written   time.Time        `json:"written"`
	// Generation changes whenever the row is written.
	Generation string `json:"generation"`
	// Multipart has the parts, once there is one. Parts are those that the last state has.
	Multipart multipart `json:"multipart,omitzero"`
	Parts     []part    `json:"parts,omitempty"`
	// States are where the upload can go on, by size. Only a partial blob has more than one.
	States []uploadState `json:"states,omitempty"`
}

// multipart identifies a multipart upload.
type multipart struct {
	Key    string `json:"key"`
	Upload string `json:"upload"`
}

type part struct {
	Tag  string `json:"tag"`
	Size int64  `json:"size"`
}

// uploadState describes the first bytes of an upload: some parts, and the rest.
type uploadState struct {
	Size     int64   `json:"size"`
	Hash     []byte  `json:"hash,omitempty"` // as its BinaryMarshaler encodes it
	Parts    int     `json:"parts,omitempty"`
	Rest     content `json:"rest,omitzero"`
	RestSize int64   `json:"restSize,omitempty"` // of the content; it may have bytes after those of the state
}

// resumable reports whether [Objects.Resume] or [Objects.ResumeBlob] can continue the upload.
func (u *uploadRow) resumable() bool { return len(u.Label) > 0 || len(u.States) > 0 }

func (u *uploadRow) size() int64 {
	if len(u.States) == 0 {
		return 0
	}
	return u.States[len(u.States)-1].Size
}

type trashRow struct {
	Noted  time.Time `json:"noted"`
	Upload string    `json:"upload,omitempty"` // of a multipart upload that was not completed
}

type quarantineRow struct {
	content
	Size   int64     `json:"size"`
	Reason string    `json:"reason"`
	Moved  time.Time `json:"moved"`
}

// getRow reads a row. found is false if there is none.
func getRow[T any](tx backend.ReadTx, t backend.Table, key string) (row T, found bool, err error) {
	value := tx.Get(t, key)
	if value == nil {
		return row, false, nil
	}
	row, err = decodeRow[T](t, key, value)
	return row, err == nil, err
}

func decodeRow[T any](t backend.Table, key string, value []byte) (row T, err error) {
	if err := json.Unmarshal(value, &row); err != nil {
		return row, fmt.Errorf("read %s of table %s: %w", key, t, err)
	}
	return row, nil
}

func putRow(tx backend.WriteTx, t backend.Table, key string, row any) error {
	value, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Put(t, key, value)
}

// object returns the row of a blob, or [mirror.CodeBlobUnknown].
func (o *Objects) object(ctx context.Context, d digest.Digest) (row objectRow, err error) {
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return row, err
	}
	found := false
	err = o.index.View(ctx, func(tx backend.ReadTx) (err error) {
		row, found, err = getRow[objectRow](tx, tableObjects, d.String())
		return err
	})
	if err == nil && !found {
		err = errUnknown(d)
	}
	return row, err
}

func errUnknown(d digest.Digest) error {
	return mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not stored", d)
}

// lockedDigest and lockedUpload are the names of locks, see [backend.Locks]. That of a digest is the one of package cache.
func lockedDigest(d digest.Digest) string { return "digest " + d.String() }
func lockedUpload(id string) string       { return "upload " + id }

// discard notes the object of content for deletion, if it has one.
func discard(tx backend.WriteTx, c content) error {
	if c.Key == "" {
		return nil
	}
	return putRow(tx, tableTrash, c.Key, trashRow{Noted: time.Now().UTC()})
}

// discardUpload deletes the row of an upload, and notes everything that it has for deletion, except the object kept.
func discardUpload(tx backend.WriteTx, id string, row uploadRow, kept string) error {
	for _, state := range row.States {
		if state.Rest.Key == kept {
			continue
		}
		if err := discard(tx, state.Rest); err != nil {
			return err
		}
	}
	if m := row.Multipart; m.Key != "" && m.Key != kept {
		if err := putRow(tx, tableTrash, m.Key, trashRow{Noted: time.Now().UTC(), Upload: m.Upload}); err != nil {
			return err
		}
	}
	return tx.Delete(tableUploads, id)
}

// noteUnsaved notes the object of an upload for deletion, unless its row has it after all.
func (o *Objects) noteUnsaved(id string, c content) error {
	return o.index.Update(o.ctx, backend.Locks{Exclusive: []string{lockedUpload(id)}}, func(tx backend.WriteTx) error {
		row, _, err := getRow[uploadRow](tx, tableUploads, id)
		if err != nil || slices.ContainsFunc(row.States, func(s uploadState) bool { return s.Rest.Key == c.Key }) {
			return err
		}
		return discard(tx, c)
	})
}
