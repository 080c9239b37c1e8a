package backend

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Blobs stores bytes under their digest. It knows nothing about repositories, names or references. Package cache/files
// implements it on a file system; every implementation passes cachetest.Blobs. All methods are safe for concurrent use.
type Blobs interface {
	// Open opens blob d. It returns [mirror.CodeBlobUnknown] if the blob is not stored.
	Open(ctx context.Context, d digest.Digest) (mirror.Blob, error)
	// Verified reports whether the content of an open blob is known to have digest d: this process wrote it, or it was
	// verified recently, and it has not changed since.
	Verified(d digest.Digest, blob mirror.Blob) bool
	// Check reads blob d and verifies its content. reason describes the damage; it is "" if the content has digest d, and
	// Verified reports true from then on. Check returns [mirror.CodeBlobUnknown] if the blob is not stored. It calls before
	// as [mirror.CheckOptions] specifies for Read.
	Check(ctx context.Context, d digest.Digest, before func(ctx context.Context, bytes int) error) (reason string, err error)
	// Stat returns the size of blob d in bytes, or [mirror.CodeBlobUnknown] if the blob is not stored.
	Stat(ctx context.Context, d digest.Digest) (int64, error)
	// Create begins a blob whose content is hashed with algorithm. The label is stored with it, see [Writer.Label].
	Create(ctx context.Context, algorithm digest.Algorithm, label string) (Writer, error)
	// Resume continues a blob that this process or an earlier one suspended. It returns [mirror.CodeBlobUploadUnknown] if
	// there is no such blob. The caller makes sure that an id has one writer at a time.
	Resume(ctx context.Context, id string) (Writer, error)
	// ResumeBlob continues a blob that this process or an earlier one put aside by [Writer.SuspendPartial]. The writer has
	// the content that the blob had then; bytes written since are dropped. ResumeBlob returns
	// [mirror.CodeBlobUploadUnknown] if there is no such partial blob. The caller makes sure that a partial blob has one
	// writer at a time.
	ResumeBlob(ctx context.Context, part mirror.PartialBlob) (Writer, error)
	// Uncommit turns blob d into the partial blob id again, as it was before its commit. A blob that is not stored is no
	// error. The caller makes sure that nothing refers to d.
	Uncommit(ctx context.Context, d digest.Digest, id string) error
	// Delete removes blob d. A blob that is not stored is no error.
	Delete(ctx context.Context, d digest.Digest) error
	// Quarantine calls check, which may read blob d. If check returns a reason, Quarantine moves the blob to where an
	// operator can examine it. No other blob can be committed under d before Quarantine returns. moved is false, without an
	// error, if the blob is not stored.
	Quarantine(ctx context.Context, d digest.Digest, check func(mirror.Blob) (reason string, err error)) (moved bool, err error)
	// All lists every blob, in the order of their digests. It does not read more than their names.
	All(ctx context.Context) iter.Seq2[digest.Digest, error]
	// Describe returns the size of blob d and when it was written, or [mirror.CodeBlobUnknown] if the blob is not stored.
	Describe(ctx context.Context, d digest.Digest) (StoredBlob, error)
	// Unfinished lists, in no particular order, the blobs that [Blobs.Resume] or [Blobs.ResumeBlob] can continue, and
	// those that they could continue if this process died now.
	Unfinished(ctx context.Context) iter.Seq2[UnfinishedBlob, error]
	// Discard deletes the unfinished blob id if expired, given the time of its last write, reports true. Discard reports
	// whether it deleted the blob; it reports false if there is none. The caller makes sure that the blob has no writer.
	Discard(ctx context.Context, id string, expired func(written time.Time) bool) (bool, error)
}

// Linker is a [Blobs] on a file system that supports hard links.
type Linker interface {
	// Link verifies the file at path and stores it as blob d without a copy. The blob is durable before it is visible.
	// Link returns [mirror.CodeDigestInvalid] if the content has another digest, and [errors.ErrUnsupported] if the file
	// must be copied. It refuses what is not a regular file. linked is false if d was already stored as another file. In
	// every case the file at path keeps its name, content, mode and owner.
	Link(ctx context.Context, d digest.Digest, path string) (size int64, linked bool, err error)
}

// StoredBlob describes a blob that is stored.
type StoredBlob struct {
	Digest  digest.Digest
	Size    int64     // in bytes
	Written time.Time // by the clock of the file system
}

// UnfinishedBlob describes a blob that was begun and neither committed nor aborted.
type UnfinishedBlob struct {
	ID      string
	Label   string
	Size    int64     // in bytes, so far
	Written time.Time // the last write, by the clock of the file system
}

// Writer writes a blob. Tail is safe for concurrent use; all other methods are for one goroutine at a time, which must
// end with Commit, Suspend, SuspendPartial or Abort. A writer from [Blobs.ResumeBlob] leaves the partial blob in place
// after an error and after Abort, unless Commit finds that the content does not have digest d.
type Writer interface {
	io.Writer
	// ReadFrom appends the content of r. Bytes that r returned before it failed are part of the blob.
	io.ReaderFrom
	// ID identifies the blob for [Blobs.Resume].
	ID() string
	// Label returns the label that was given to [Blobs.Create].
	Label() string
	// Size returns the number of bytes written.
	Size() int64
	// Digest returns the digest of the bytes written, by the algorithm that was given to Create.
	Digest() (digest.Digest, error)
	// Tail opens the content for reading while it is written. The tail stays readable after Commit and Abort.
	Tail() (mirror.Tail, error)
	// Verify returns [mirror.CodeDigestInvalid] unless the bytes written have digest d. For another algorithm than the one
	// given to Create it reads everything again.
	Verify(d digest.Digest) error
	// Commit verifies the content, unless Verify was called with d, and makes the blob durable and then visible under d.
	// If a verified blob d is already stored, Commit drops what was written; a blob that is not verified is replaced. After
	// an error, nothing that was written remains, except what has replaced another blob.
	Commit(ctx context.Context, d digest.Digest) error
	// Suspend puts the blob aside together with the state of its hash, so that Resume does not read its content again.
	Suspend() error
	// SuspendPartial puts a blob without a label aside. The partial blob is durable: it survives power loss, and it does
	// not change before [Blobs.ResumeBlob]. An error has the effect of Abort.
	SuspendPartial() (mirror.PartialBlob, error)
	// Abort drops what was written. It does nothing after Commit, Suspend or SuspendPartial.
	Abort() error
}
