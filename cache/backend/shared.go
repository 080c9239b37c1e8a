package backend

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// Shared is an [Index] that several nodes use at the same time. What one node decides about content must then be in the
// index before another one relies on it.
type Shared interface {
	// ServerTime returns the time of the server that has the index. It is the time of all nodes, whose own clocks do not
	// matter.
	ServerTime(ctx context.Context) (time.Time, error)
}

// Indexed is a [Blobs] that keeps the name of each blob in a row of the index, so that a transaction of the store decides
// about a blob and about everything that refers to it. A store on several nodes needs it. [Writer.Commit] of such Blobs always
// stores what was written: whoever commits need not know whether another node is about to delete the same blob.
type Indexed interface {
	// Row is the key of the index that exists as long as blob d is stored.
	Row(d digest.Digest) Key
	// Remove deletes the row of blob d, if the blob was written before a time, and returns its size in bytes. removed is
	// false if there is no such row. The caller has the lock of the digest, or runs alone. The bytes are deleted later.
	Remove(tx WriteTx, d digest.Digest, before time.Time) (size int64, removed bool, err error)
}
