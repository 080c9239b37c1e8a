package admin

import (
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/migrate"
)

// CollectRequest starts a collection by the configured policy. Each field that is set replaces the configured value.
type CollectRequest struct {
	// DryRun makes a plan and deletes nothing.
	DryRun bool `json:"dryRun,omitempty"`
	// Blobs and Stays have a dry run list the blobs that would be deleted with images, and the images that are kept.
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

// CollectLine is a part of the answer to a [CollectRequest]. One field is set.
type CollectLine struct {
	Plan      *gc.Plan      `json:"plan,omitempty"`      // the first line: what there is to do
	Candidate *gc.Candidate `json:"candidate,omitempty"` // in a dry run
	Protected *gc.Candidate `json:"protected,omitempty"` // in a dry run
	Outcome   *gc.Candidate `json:"outcome,omitempty"`   // the outcome of an item
	Result    *gc.Result    `json:"result,omitempty"`    // the last line, unless it is a dry run
}

// RemoveRequest removes images by name.
type RemoveRequest struct {
	Names  []string `json:"names"`            // of tags and digests, or patterns of tags
	Now    bool     `json:"now,omitempty"`    // delete files as well, see [gc.Removal]
	Force  bool     `json:"force,omitempty"`  // remove pinned images as well
	DryRun bool     `json:"dryRun,omitempty"` // change nothing
}

// RemoveLine is a part of the answer to a [RemoveRequest]. One field is set.
type RemoveLine struct {
	Item *gc.Candidate  `json:"item,omitempty"` // an item that was removed, or kept after all
	Done *RemoveSummary `json:"done,omitempty"`
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

// UsageLine is the disk usage of one repository, or of all together.
type UsageLine struct {
	Name string `json:"name,omitempty"` // as the mirror serves it; "" for the total
	gc.RepoUsage
}

// VerifyRequest starts a verification; see [mirror.VerifyOptions].
type VerifyRequest struct {
	Fast   bool  `json:"fast,omitempty"`
	Repair bool  `json:"repair,omitempty"`
	Rate   int64 `json:"rate,omitempty"` // bytes per second
}

// VerifyLine is a part of the answer to a [VerifyRequest]. One field is set.
type VerifyLine struct {
	Progress *Progress             `json:"progress,omitempty"`
	Flaw     *mirror.VerifyEvent   `json:"flaw,omitempty"`
	Done     *mirror.VerifySummary `json:"done,omitempty"`
}

// MigrateRequest copies another registry. URL is the address of the registry that From names.
type MigrateRequest struct {
	migrate.Request
	URL string `json:"url,omitempty"`
}
