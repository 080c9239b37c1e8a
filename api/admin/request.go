package admin

import (
	"airmirror/gc"
	"airmirror/sync/migrate"
)

// CollectRequest starts a collection by the configured policy. Each field that is set replaces the configured value.
type CollectRequest struct {
	// DryRun makes a plan and deletes nothing.
	DryRun bool `json:"dryRun,omitempty"`
	// Blobs and Protected have a dry run list the blobs that would be deleted with images, and the images that are kept.
	Blobs     bool `json:"blobs,omitempty"`
	Protected bool `json:"protected,omitempty"`

	Grace          *gc.Age   `json:"grace,omitempty"`
	UploadTTL      *gc.Age   `json:"uploadTTL,omitempty"`
	DeleteUntagged *bool     `json:"deleteUntagged,omitempty"`
	MaxSize        *gc.Size  `json:"maxSize,omitempty"`
	ShrinkTo       *gc.Size  `json:"shrinkTo,omitempty"`
	KeepFree       *gc.Share `json:"keepFree,omitempty"`
	FreeUpTo       *gc.Share `json:"freeUpTo,omitempty"`
	EvictOffline   *bool     `json:"evictOffline,omitempty"`
	Evict          []string  `json:"evict,omitempty"` // added to [gc.Policy.Evict]
}

// RemoveRequest removes images by name.
type RemoveRequest struct {
	Names  []string `json:"names"`            // of tags and digests, or patterns of tags
	Now    bool     `json:"now,omitempty"`    // delete files as well, see [gc.Removal]
	Force  bool     `json:"force,omitempty"`  // remove pinned images as well
	DryRun bool     `json:"dryRun,omitempty"` // change nothing
}

// RemoveSummary is the result of a removal.
type RemoveSummary struct {
	Tags      int   `json:"tags"`
	Manifests int   `json:"manifests"`
	Freed     int64 `json:"freed"` // bytes
	Later     int64 `json:"later"` // bytes that a collection frees
	Kept      int   `json:"kept,omitempty"`
}

// UsageRequest asks for the disk usage of the repositories that match, of all if Match is empty.
type UsageRequest struct {
	Match []string `json:"match,omitempty"`
}

// Usage is the disk usage of one repository, or of all together.
type Usage struct {
	Name string `json:"name,omitempty"` // as the mirror serves it; "" for the total
	gc.RepoUsage
}

// VerifyRequest starts a verification; see [mirror.VerifyOptions].
type VerifyRequest struct {
	Fast   bool  `json:"fast,omitempty"`
	Repair bool  `json:"repair,omitempty"`
	Rate   int64 `json:"rate,omitempty"` // bytes per second
}

// CompactRequest compacts the file of the index.
type CompactRequest struct {
	DryRun bool `json:"dryRun,omitempty"` // change nothing
}

// CompactSummary is the size of the file of the index before and after a compaction, in bytes. In a dry run, After is an
// estimate.
type CompactSummary struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// MigrateRequest copies another registry. URL is the address of the registry that From names.
type MigrateRequest struct {
	migrate.Request
	URL string `json:"url,omitempty"`
}

// ChartRequest names a stored Helm chart, for the stream "chart".
type ChartRequest struct {
	Reference string `json:"reference"` // such as oci://ghcr.io/org/charts/app:1.2.3
}

// Notice is something to know about what Name names: why it was left out, or how to use it.
type Notice struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// MigratedRepository is the outcome of one repository of a migration.
type MigratedRepository struct {
	Name      string `json:"name"`
	Tags      int    `json:"tags"`
	Manifests int    `json:"manifests"`
	Skipped   int    `json:"skipped,omitempty"` // tags and manifests that were left out
}
