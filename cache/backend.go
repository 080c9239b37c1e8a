package cache

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Blobs keeps bytes under their digest and nothing else: it knows no names and no references. cache/files is one; every
// implementation passes cachetest.Blobs. All of it may be used concurrently.
type Blobs interface {
	// Open opens blob d. [mirror.CodeBlobUnknown] if it is not there.
	Open(ctx context.Context, d digest.Digest) (mirror.Blob, error)
	// Verified reports whether an open blob is known to be d: this process wrote it, or it was checked not long ago, and it
	// was not changed since.
	Verified(d digest.Digest, blob mirror.Blob) bool
	// Check reads blob d and says what is wrong with it; "" if its bytes are what d says, which is known from then on.
	// [mirror.CodeBlobUnknown] if it is not there. before is called as [mirror.CheckOptions] says of Read.
	Check(ctx context.Context, d digest.Digest, before func(ctx context.Context, bytes int) error) (reason string, err error)
	// Stat returns the size of blob d in bytes. [mirror.CodeBlobUnknown] if it is not there.
	Stat(ctx context.Context, d digest.Digest) (int64, error)
	// Create begins a blob whose bytes are hashed with algorithm. label is kept with it, see [Writer.Label].
	Create(ctx context.Context, algorithm digest.Algorithm, label string) (Writer, error)
	// Resume goes on with a blob that was suspended, in this process or an earlier one.
	// [mirror.CodeBlobUploadUnknown] if there is no such blob. The caller sees to it that an id has one writer at a time.
	Resume(ctx context.Context, id string) (Writer, error)
	// ResumeBlob goes on with a blob that [Writer.SuspendPartial] kept, in this process or an earlier one: with the bytes that it had then,
	// and without those that were written since. [mirror.CodeBlobUploadUnknown] if there is no such part. The caller sees to
	// it that a part has one writer at a time.
	ResumeBlob(ctx context.Context, part mirror.PartialBlob) (Writer, error)
	// Reclaim makes blob d part id again, as if it had not been committed; no error if there is no such blob. The caller
	// sees to it that nobody knows of d.
	Reclaim(ctx context.Context, d digest.Digest, id string) error
	// Delete removes blob d; no error if it is not there.
	Delete(ctx context.Context, d digest.Digest) error
	// Quarantine takes blob d out of the way and keeps it where a person finds it, if judge, which may read it, returns a
	// reason. Nobody can commit another blob under d before it returns. moved is false, with no error, if there is no
	// such blob.
	Quarantine(ctx context.Context, d digest.Digest, judge func(mirror.Blob) (reason string, err error)) (moved bool, err error)
	// All lists every blob, in no order.
	All(ctx context.Context) iter.Seq2[Entry, error]
	// Written returns when blob d was written. [mirror.CodeBlobUnknown] if it is not there.
	Written(ctx context.Context, d digest.Digest) (time.Time, error)
	// Begun lists, in no order, the blobs that [Blobs.Resume] or [Blobs.ResumeBlob] knows, and those that it would know if this
	// process died.
	Begun(ctx context.Context) iter.Seq2[Begun, error]
	// Discard drops what Resume or Grow knows as id, if idle says so of when it was last written to. It reports whether it
	// did: not if there is no such blob. The caller sees to it that it has no writer.
	Discard(ctx context.Context, id string, idle func(written time.Time) bool) (bool, error)
}

// Linker is a [Blobs] on a file system that can give a file a second name in place of a copy.
type Linker interface {
	// Link takes in the file at path as blob d, durable and then visible, once its bytes were read and verified
	// ([mirror.CodeDigestInvalid]). linked says whether the blob and the file are one now; they are not if d was there
	// already as another file. errors.ErrUnsupported if this file must be copied. Whatever is returned, the file at path
	// keeps its name, bytes, mode and owner; what is not a regular file is refused.
	Link(ctx context.Context, d digest.Digest, path string) (size int64, linked bool, err error)
}

// Entry is a blob that is held.
type Entry struct {
	Digest  digest.Digest
	Size    int64     // in bytes
	Written time.Time // as the clock of the file system has it
}

// Begun is a blob that was begun and not ended.
type Begun struct {
	ID      string
	Label   string
	Size    int64 // in bytes, so far
	Written time.Time
}

// Writer is a blob being written. Tail may be called by any goroutine, everything else by one at a time, which must
// end with Commit, Suspend, Keep or Abort. One from [Blobs.ResumeBlob] always leaves the part that it goes on from after an
// error, and after Abort, but if Commit finds that it is not d.
type Writer interface {
	io.Writer
	// ReadFrom copies r into the blob; bytes that came before r failed are part of it.
	io.ReaderFrom
	// ID names the blob for [Blobs.Resume].
	ID() string
	// Label is what [Blobs.Create] was given.
	Label() string
	// Size is the number of bytes written.
	Size() int64
	// Digest returns the digest of what was written, by the algorithm that Create was given.
	Digest() (digest.Digest, error)
	// Tail opens the bytes for reading while they are written; it stays readable after Commit and Abort.
	Tail() (mirror.Tail, error)
	// Verify reports with [mirror.CodeDigestInvalid] whether what was written is not d. A digest of another algorithm
	// than the one given to Create is verified by reading everything again.
	Verify(d digest.Digest) error
	// Commit verifies if Verify was not called with d, and makes the blob durable and then visible under d. If d is there
	// already and verified, what was written is dropped; if it is not verified, what was written replaces it. After an
	// error nothing of what was written is kept, but for what has replaced something.
	Commit(ctx context.Context, d digest.Digest) error
	// Suspend puts the blob aside with the state of its hash, so that Resume does not read again what is in.
	Suspend() error
	// SuspendPartial is for a blob without a label. It puts the blob aside for Grow, durable: that survives power loss, and does not
	// change before Grow. After an error it is as after Abort.
	SuspendPartial() (mirror.PartialBlob, error)
	// Abort drops what was written. After Commit, Suspend or Keep it does nothing.
	Abort() error
}

// Index is an ordered, transactional map from keys to values in a few tables. cache/bolt is one; every implementation
// passes cachetest.Index. Everything that the store knows beyond bytes is written in its terms by this package, once,
// so that an implementation is small and cannot break an invariant.
type Index interface {
	// View runs f over one consistent state.
	View(ctx context.Context, f func(ReadTx) error) error
	// Update runs f in a transaction that is durable when Update returns nil. Updates that wait for one another are
	// committed together, so f may be run more than once and must have no effect but on its transaction and on
	// variables that it sets anew each time. When f fails, Update returns its error and nothing of it is written. When
	// ctx ends before f was run, Update returns its error; after that, what became of f is waited for.
	Update(ctx context.Context, f func(WriteTx) error) error
	// Close waits for transactions under way and lets go of the files.
	Close() error
}

// Checker is an [Index] that can tell whether its own files are in order.
type Checker interface {
	// Check returns what is wrong with them, the first hundred things, and nothing if they are in order. Updates wait
	// for it.
	Check(ctx context.Context) (wrong []error, err error)
}

// Copier is an [Index] that can be copied while it is in use.
type Copier interface {
	// Copy writes one consistent state of it, which is an index again, and returns how many bytes that is.
	Copy(ctx context.Context, w io.Writer) (int64, error)
}

// Table is the name of a part of the index.
type Table string

// ReadTx reads. Values are valid until the transaction ends and must not be changed.
type ReadTx interface {
	// Get returns nil for a key that is not there; a value is never empty.
	Get(t Table, key string) []byte
	// Scan yields, in byte order, the keys that begin with prefix and are greater than after. While it runs, the
	// table must not be written to.
	Scan(t Table, prefix, after string) iter.Seq2[string, []byte]
}

// WriteTx reads and writes; it reads what it wrote. Another function that is committed together with this one may come
// before it, and what that one wrote is read, but never what it wrote in vain.
type WriteTx interface {
	ReadTx
	// Put takes value over: it must not be changed afterwards. An empty one is an error.
	Put(t Table, key string, value []byte) error
	// Delete is no error where there is no key.
	Delete(t Table, key string) error
}
