package mirror

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
)

// CheckStore finds out whether what is held is what it is called, and mends what can be mended here. All of it may be
// used concurrently with everything else.
type CheckStore interface {
	// Flaws reads everything and yields what is wrong, and goes on after it. What is being written or deleted meanwhile
	// is no flaw.
	Flaws(ctx context.Context, opts CheckOptions) iter.Seq2[Flaw, error]
	// Mend does what can be done about a flaw without an upstream, if it is still there: a damaged file is moved to the
	// quarantine, and it and a missing one are held no more, so that they are fetched again where they are asked for; an
	// orphan that verifies is adopted, to be collected if nobody needs it; an entry that points nowhere is dropped.
	Mend(ctx context.Context, flaw Flaw) (mended bool, err error)
	// Backup writes a consistent copy of the index, from which tags come back when it is lost.
	Backup(ctx context.Context, w io.Writer) (bytes int64, err error)
}

// CheckOptions say how thoroughly is checked. The zero value reads everything as fast as it can.
type CheckOptions struct {
	// Fast compares only what the index says with itself and with the sizes of files.
	Fast bool
	// Read is called before so many bytes of content are read, and can wait; nil waits for nothing.
	Read func(ctx context.Context, bytes int) error
	// Progress is told about bytes of content; nobody is if it is nil.
	Progress Progress
}

// FlawKind says what is wrong.
type FlawKind string

// What can be wrong.
const (
	Damaged  FlawKind = "damaged"  // a file whose content is not what its digest says, or has another size
	Missing  FlawKind = "missing"  // the index names a file that is not there
	Orphaned FlawKind = "orphaned" // a file that the index does not name
	Dangling FlawKind = "dangling" // an entry of the index that points nowhere or contradicts another
)

// Flaw is something that is wrong with what is held.
type Flaw struct {
	Kind   FlawKind      `json:"kind"`
	Digest digest.Digest `json:"digest,omitempty"`
	Size   int64         `json:"size,omitempty"` // in bytes, as the index or else the file has it
	// Repos are those that need it, as [Repo.String] writes them: the first few.
	Repos  []string `json:"repositories,omitempty"`
	Entry  string   `json:"entry,omitempty"` // a dangling one, as table and key
	Reason string   `json:"reason"`          // a sentence
}
