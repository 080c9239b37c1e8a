package gc

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Kind is the kind of a [Candidate].
type Kind string

// The kinds of candidates.
const (
	Image    Kind = "image"    // tags with their manifests, except for manifests that other images need
	Manifest Kind = "manifest" // an image without a tag
	Tag      Kind = "tag"      // a tag alone; its image is kept
	Blob     Kind = "blob"     // a file, with an image or alone
	Upload   Kind = "upload"   // a stale upload
	Orphan   Kind = "orphan"   // a file that the index does not name
)

// Candidate is something that a collection considered: a plan deletes or keeps it. Sizes are in bytes.
type Candidate struct {
	Kind   Kind          `json:"kind"`
	Name   string        `json:"name"` // host/path:tag, host/path@digest, a digest, or an upload's repository and id
	Tags   []string      `json:"tags,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	// Manifests is the number of manifests of an image.
	Manifests int `json:"manifests,omitempty"`
	// Size is the size of all its files, each counted once.
	Size int64 `json:"size"`
	// Freed is the space that its deletion frees. For an image, it is the size of the files that no kept image and no
	// image that is deleted later needs. For a blob that is deleted with an image it is 0, so that the sum over all
	// candidates is the total. [Plan.Execute] reports the space that was actually freed.
	Freed int64 `json:"freed"`
	// LastUsed is the latest time at which an image or one of its dependents was pulled, added or tagged; at which a
	// blob was added, linked or requested; or at which an upload or orphan was written.
	LastUsed time.Time `json:"lastUsed,omitzero"`
	Reason   string    `json:"reason"` // why it is deleted or kept
	// Code stands for a Reason that has no values; "" for others.
	Code string `json:"code,omitempty"`
	// Kept is why [Plan.Execute] kept it after all; "" if it was deleted.
	Kept string `json:"kept,omitempty"`
}

// Totals are sums over the deleted candidates.
type Totals struct {
	Images    int   `json:"images"` // tagged and untagged
	Manifests int   `json:"manifests"`
	Tags      int   `json:"tags"`
	Blobs     int   `json:"blobs"` // files, including those of manifests
	Uploads   int   `json:"uploads"`
	Orphans   int   `json:"orphans"`
	Bytes     int64 `json:"bytes"` // freed by all of them
}

// KeepReason counts the content that is kept for one reason.
type KeepReason struct {
	Reason string `json:"reason"`
	Code   string `json:"code,omitempty"`   // as of a [Candidate]
	Images int    `json:"images,omitempty"` // including untagged manifests
	Blobs  int    `json:"blobs,omitempty"`  // files, with an image or alone
	Bytes  int64  `json:"bytes"`            // of the files; a file with several reasons counts for the first
}

// GraceTotals count the content that would be deleted without the grace period.
type GraceTotals struct {
	Images int       `json:"images"` // including untagged manifests
	Blobs  int       `json:"blobs"`  // files, with an image or alone, and orphans
	Bytes  int64     `json:"bytes"`
	Grace  Age       `json:"grace"`
	Until  time.Time `json:"until,omitzero"` // when the last of it leaves the grace period, unless it is used before
}

// Budget compares a plan with the budgets of its policy. All sizes are in bytes. Those of a budget that is not set
// are zero.
type Budget struct {
	Stored    int64 `json:"stored"` // before the collection: blobs, uploads and orphans
	MaxSize   int64 `json:"maxSize,omitempty"`
	ShrinkTo  int64 `json:"shrinkTo,omitempty"`
	DiskTotal int64 `json:"diskTotal,omitempty"`
	DiskFree  int64 `json:"diskFree,omitempty"` // before the collection
	KeepFree  int64 `json:"keepFree,omitempty"`
	FreeUpTo  int64 `json:"freeUpTo,omitempty"`
	// Need is the space to free in addition to the space that the rest of the policy frees; zero within the budget.
	Need int64 `json:"need,omitempty"`
	// Shortfall is by how much the plan misses MaxSize or KeepFree, and Reason explains it.
	Shortfall int64  `json:"shortfall,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Result is the result of a run.
type Result struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"` // duration of the run, including planning
	Totals            // of the deleted candidates
	Planned int64     `json:"planned"` // bytes that the plan would free
	Budget  Budget    `json:"budget"`
	// InGrace counts the content that only the grace period kept.
	InGrace GraceTotals `json:"inGrace"`
	// Kept is the number of candidates that were kept after all, mostly because they were used since the plan.
	// KeptFirst are the first of them.
	Kept      int         `json:"kept,omitempty"`
	KeptFirst []Candidate `json:"keptFirst,omitempty"`
	// LongestMillis is the duration of the longest transaction, in milliseconds.
	LongestMillis float64 `json:"longestTransactionMillis"`
	Cause         Cause   `json:"cause,omitempty"`
	Error         string  `json:"error,omitempty"` // why the run ended early or left something out
}

// Cause is why a run started.
type Cause string

// The causes of runs.
const (
	ByCommand  Cause = "command"
	BySchedule Cause = "schedule"
	ByDisk     Cause = "disk" // the disk was nearly full
)
