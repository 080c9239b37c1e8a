package mirror

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
)

// CheckStore finds defects of the stored content, and repairs them if possible. It may be used concurrently.
type CheckStore interface {
	// Defects checks everything and yields the defects, each digest and each record once. Content that is being written
	// or deleted is no defect. An error means that a file or record cannot be read; the Defect next to it names its
	// digest if it has one. The iterator continues after errors and defects, unless ctx has ended or the index fails.
	Defects(ctx context.Context, opts CheckOptions) iter.Seq2[Defect, error]
	// Repair repairs a defect, as far as that is possible without an upstream. It checks first that the defect still
	// exists, and reads damaged content again. It moves a damaged file to the quarantine. Damaged and missing content
	// is not stored any more, so that it is fetched when it is requested. An orphan that verifies is adopted; the
	// collector deletes it if nothing needs it. A record that refers to nothing is deleted. A record that contradicts
	// the records that it is derived from is written again. A tag whose manifest was lost gets the manifest back if its
	// file is stored. A manifest that lost its file remains known, with its tags, so that it can be fetched by its
	// digest.
	Repair(ctx context.Context, defect Defect) (repaired bool, err error)
	// Backup writes a consistent copy of the index, from which the names can be restored, and returns its size in bytes.
	// Changes that are made meanwhile take space on the disk until it ends, so w should be fast. [CodeUnsupported] if
	// the index cannot be copied while it is in use.
	Backup(ctx context.Context, w io.Writer) (bytes int64, err error)
}

// CheckOptions configure a check. The zero value reads everything as fast as possible.
type CheckOptions struct {
	// Fast compares records with one another and with the sizes of files. It reads no content.
	Fast bool
	// After is where an earlier check stopped. Content up to this digest, and the file of the index, are not checked.
	// Records that are not read in the order of digests are checked completely.
	After digest.Digest
	// Read is called before content is read, with the number of bytes, which is at most [MaxCheckRead]. It may wait. If
	// it fails, the file is not read further and its state is unknown. Nil does not wait.
	Read func(ctx context.Context, bytes int) error
	// Checked is called after each file that the index names, in the order of digests, with the size in the index,
	// whether or not there is a defect. It may be nil.
	Checked func(d digest.Digest, size int64)
	// Progress receives the bytes of content that are read; it may be nil.
	Progress Progress
}

// MaxCheckRead is how many bytes [CheckStore.Defects] reads at a time.
const MaxCheckRead = 256 << 10

// DefectKind is a kind of defect.
type DefectKind string

// The kinds of defects.
const (
	Damaged  DefectKind = "damaged"  // a file does not match its digest, or has another size
	Missing  DefectKind = "missing"  // a file that the index names or needs does not exist
	Orphaned DefectKind = "orphaned" // the index does not name a file
	Dangling DefectKind = "dangling" // a record of the index points nowhere or contradicts another
	Broken   DefectKind = "broken"   // the file of the index is damaged and must be rebuilt
	Unread   DefectKind = "unread"   // a file cannot be read, for a reason that says nothing about its content
)

// Defect is a defect of the stored content or of its records.
type Defect struct {
	Kind   DefectKind    `json:"kind"`
	Digest digest.Digest `json:"digest,omitempty"`
	Size   int64         `json:"size,omitempty"` // in bytes, from the index or else from the file
	// Manifest says that the content is a manifest of the Repos, and not a blob.
	Manifest bool `json:"manifest,omitempty"`
	// Repos are the first hundred repositories with a manifest that needs the content or, for a manifest, that have it.
	// Each is a [Repo.String].
	Repos  []string `json:"repositories,omitempty"`
	Entry  string   `json:"entry,omitempty"` // of Dangling: the table and the parts of the key, separated by spaces
	Reason string   `json:"reason"`          // a sentence for people
}

// IsLeftover reports whether the defect is a file that nothing in the index names or needs, as a crash leaves between the
// file and its entry. It harms nothing, and the collector deletes it.
func (d *Defect) IsLeftover() bool { return d.Kind == Orphaned && len(d.Repos) == 0 }

// DefectError is the cause of a [CodeBlobUnknown] or [CodeManifestUnknown] for content that is in the index and whose
// file is missing or damaged. [CheckStore.Repair] repairs its Defect, whose Repos may be empty.
type DefectError struct{ Defect Defect }

// DefectOf returns the defect that err reports, or nil.
func DefectOf(err error) *Defect {
	var found *DefectError
	if !errors.As(err, &found) {
		return nil
	}
	return &found.Defect
}

// Error returns the reason.
func (e *DefectError) Error() string { return e.Defect.Reason }
