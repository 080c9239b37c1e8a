package mirror

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
)

// CheckStore finds out whether what is held is what it is called, and mends what can be mended here. All of it may be
// used concurrently with everything else.
type CheckStore interface {
	// Defects reads everything and yields what is wrong, each digest and each entry once, and goes on after it. What is
	// being written or deleted meanwhile is no flaw. An error is about what could not be read, which the Flaw beside it
	// names if it has a digest; it goes on after that as well, unless ctx has ended or the index fails.
	Defects(ctx context.Context, opts CheckOptions) iter.Seq2[Defect, error]
	// Repair does what can be done about a flaw without an upstream, if it is still there: it looks again before it does
	// anything, and reads again what may be damaged. A damaged file is moved to the quarantine, and it and a missing one
	// are held no more, so that they are fetched again where they are asked for; an orphan that verifies is adopted, to
	// be collected if nobody needs it; an entry that points nowhere is dropped, and one that contradicts what it follows
	// from is written anew; a tag without its manifest gets that back if its file is held. A manifest that lost its file stays known, with its tags, to be fetched again by its digest.
	Repair(ctx context.Context, flaw Defect) (mended bool, err error)
	// Backup writes a consistent copy of the index, from which names come back when it is lost. What it takes from the
	// disk meanwhile is what changes: a copy is best written to where that is fast. [CodeUnsupported] if this index
	// cannot be copied while it is in use.
	Backup(ctx context.Context, w io.Writer) (bytes int64, err error)
}

// CheckOptions say how thoroughly is checked. The zero value reads everything as fast as it can.
type CheckOptions struct {
	// Fast compares only what the index says with itself and with the sizes of files.
	Fast bool
	// After is where an earlier check stopped: what has a digest up to it is taken to be in order, and the index's own
	// file as well. Only what is read in the order of digests is passed over; the rest is looked at whole.
	After digest.Digest
	// Read is called before so many bytes of content are read, [MaxCheckRead] at most, and can wait; after an error that
	// file is read no further, and what is wrong with it is not known. Nil waits for nothing.
	Read func(ctx context.Context, bytes int) error
	// Checked is called after each file that the index names, in the order of their digests, whatever was found; size is
	// as the index has it. Nobody is if it is nil.
	Checked func(d digest.Digest, size int64)
	// Progress is told about bytes of content; nobody is if it is nil.
	Progress Progress
}

// MaxCheckRead is how many bytes [CheckStore.Defects] reads at a time.
const MaxCheckRead = 256 << 10

// DefectKind says what is wrong.
type DefectKind string

// What can be wrong.
const (
	Damaged  DefectKind = "damaged"  // a file whose content is not what its digest says, or has another size
	Missing  DefectKind = "missing"  // the index names or needs a file that is not there
	Orphaned DefectKind = "orphaned" // a file that the index does not name
	Dangling DefectKind = "dangling" // an entry of the index that points nowhere or contradicts another
	Broken   DefectKind = "broken"   // the index's own file; it takes a rebuild
	Unread   DefectKind = "unread"   // a file that cannot be read, for a reason that says nothing about its content
)

// Defect is something that is wrong with what is held.
type Defect struct {
	Kind   DefectKind    `json:"kind"`
	Digest digest.Digest `json:"digest,omitempty"`
	Size   int64         `json:"size,omitempty"` // in bytes, as the index or else the file has it
	// Manifest: it is a manifest of the Repos, and not a blob.
	Manifest bool `json:"manifest,omitempty"`
	// Repos are those with a manifest that needs it or, for a manifest, that have it, as [Repo.String] writes them: the
	// first hundred.
	Repos  []string `json:"repositories,omitempty"`
	Entry  string   `json:"entry,omitempty"` // a dangling one: its table and the parts of its key, with spaces between
	Reason string   `json:"reason"`          // a sentence
}

// DefectError is the cause of a [CodeBlobUnknown] or [CodeManifestUnknown] for content that the index has and the files do
// not: [CheckStore.Repair] takes care of its flaw, of which Repos may be left out.
type DefectError struct{ Defect Defect }

// DefectOf returns the flaw that err is due to, or nil.
func DefectOf(err error) *Defect {
	var found *DefectError
	if !errors.As(err, &found) {
		return nil
	}
	return &found.Defect
}

// Error returns the reason.
func (e *DefectError) Error() string { return e.Defect.Reason }
