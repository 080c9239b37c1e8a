package gc

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Kind says what an [Candidate] is.
type Kind string

// What goes, or stays.
const (
	Image    Kind = "image"    // tags, with what they lead to and nothing else needs
	Manifest Kind = "manifest" // the same without a tag
	Tag      Kind = "tag"      // alone: what it points at stays
	Blob     Kind = "blob"     // a file, with an image or alone
	Upload   Kind = "upload"   // a push that was left
	Orphan   Kind = "orphan"   // a file that the index does not name
)

// Candidate is something that goes, or that was kept. Sizes are in bytes.
type Candidate struct {
	Kind   Kind          `json:"kind"`
	Name   string        `json:"name"` // host/path:tag, host/path@digest, a digest, or an upload's repository and id
	Tags   []string      `json:"tags,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	// Manifests is how many an image is made of.
	Manifests int `json:"manifests,omitempty"`
	// Size is of all files that it is made of, each counted once.
	Size int64 `json:"size"`
	// Freed is what going frees: of an image, its files that nothing needs which goes later or stays. A blob that goes
	// with an image has none of its own, so that the sum over all items is what the disk gains.
	Freed int64 `json:"freed"`
	// LastUsed is the latest time that it, or something that it is made of, was pulled, added or tagged; of a blob,
	// added, linked or asked for; of an upload or orphan, written.
	LastUsed time.Time `json:"lastUsed,omitzero"`
	Reason   string    `json:"why"` // it goes, or stays
}

// Totals are sums over what goes.
type Totals struct {
	Images    int   `json:"images"` // with and without a tag
	Manifests int   `json:"manifests"`
	Tags      int   `json:"tags"`
	Blobs     int   `json:"blobs"` // files, those of manifests included
	Uploads   int   `json:"uploads"`
	Orphans   int   `json:"orphans"`
	Bytes     int64 `json:"bytes"` // freed by all of them
}

// KeepReasons is what stays for one reason.
type KeepReason struct {
	Reason string `json:"why"`
	Images int    `json:"images,omitempty"` // or manifests without a tag
	Blobs  int    `json:"blobs,omitempty"`  // files, of images or alone
	Bytes  int64  `json:"bytes"`            // of these files; one with several reasons is counted for the first
}

// InGrace is what would go if it were not for the grace time.
type GraceTotals struct {
	Images int       `json:"images"` // or manifests without a tag
	Blobs  int       `json:"blobs"`  // files, of images or alone, and orphans
	Bytes  int64     `json:"bytes"`
	Grace  Age       `json:"grace"`
	Until  time.Time `json:"until,omitzero"` // when the last of it may go, unless it is used before
}

// Budget is how a plan stands to the budgets of its policy. All numbers are bytes; those of a budget that is not set are
// zero.
type Budget struct {
	Stored    int64 `json:"held"` // before: blobs, uploads and orphans
	MaxSize   int64 `json:"maxSize,omitempty"`
	ShrinkTo  int64 `json:"shrinkTo,omitempty"`
	DiskTotal int64 `json:"diskTotal,omitempty"`
	DiskFree  int64 `json:"diskFree,omitempty"` // before
	KeepFree  int64 `json:"keepFree,omitempty"`
	FreeUpTo  int64 `json:"freeUpTo,omitempty"`
	// Need is what has to be freed beyond what nothing refers to and what rules drop; zero within the budget.
	Need int64 `json:"need,omitempty"`
	// Shortfall is by how much the plan misses the budget itself, MaxSize or KeepFree, and Why says why.
	Shortfall int64  `json:"short,omitempty"`
	Reason    string `json:"shortWhy,omitempty"`
}

// Event is what became of an item. Its Freed is what was freed in fact.
type Event struct {
	Candidate
	Kept string `json:"kept,omitempty"` // why it stayed after all; "" if it went
}

// Result is what a run did.
type Result struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"` // that it took, planning included
	Totals            // what went
	Planned int64     `json:"planned"` // bytes that were to be freed
	Budget  Budget    `json:"budget"`
	// InGrace is what stayed for the grace time alone.
	InGrace GraceTotals `json:"waiting"`
	// Kept is how many items stayed after all, mostly because somebody used them since; Stayed are the first of them.
	Kept      int     `json:"kept,omitempty"`
	KeptFirst []Event `json:"stayed,omitempty"`
	// LongestMillis is how long the longest transaction took, in milliseconds.
	LongestMillis float64 `json:"longestTransactionMillis"`
	Cause         Cause   `json:"cause,omitempty"`
	Error         string  `json:"error,omitempty"` // what ended it early
}

// Cause is why a run began.
type Cause string

// The causes of runs.
const (
	ByCommand  Cause = "command"
	BySchedule Cause = "schedule"
	ByDisk     Cause = "disk" // it was nearly full
)
