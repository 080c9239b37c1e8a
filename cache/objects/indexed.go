package objects

import (
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
)

var _ backend.Indexed = (*Objects)(nil)

// Row implements [backend.Indexed].
func (o *Objects) Row(d digest.Digest) backend.Key {
	return backend.Key{Table: tableObjects, Key: d.String()}
}

// Remove implements [backend.Indexed]. A copy in the disk cache stays until it is evicted: no other object has its name.
func (o *Objects) Remove(tx backend.WriteTx, d digest.Digest, before time.Time) (size int64, removed bool, err error) {
	row, found, err := getRow[objectRow](tx, tableObjects, d.String())
	if err != nil || !found || !row.Written.Before(before) {
		return 0, false, err
	}
	return row.Size, true, errors.Join(discard(tx, row.content), tx.Delete(tableObjects, d.String()))
}
