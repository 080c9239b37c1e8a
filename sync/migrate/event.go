package migrate

import (
	"github.com/opencontainers/go-digest"
)

// The kinds of [Event].
const (
	// KindSkipped reports a tag, a manifest or a repository that was skipped, with the Error.
	KindSkipped = "skipped"
	// KindKept reports a tag that was pushed to this mirror and was not moved: it still points at Was.
	KindKept = "kept"
	// KindRepository reports that a repository is done: Tags and Manifests are stored, Skipped were skipped.
	KindRepository = "repository"
)

// Event is an event of a migration.
type Event struct {
	Kind      string
	Name      string // of a repository, or name:tag or name@digest
	Tags      int
	Manifests int
	Skipped   int
	Digest    digest.Digest // of a kept tag in the other registry
	Was       digest.Digest // of a kept tag in this mirror
	Error     string
}

// Summary is the result of a migration.
type Summary struct {
	Repositories int `json:"repositories"` // with at least one migrated manifest
	Tags         int `json:"tags"`         // that point at the same digest as in the other registry
	Manifests    int `json:"manifests"`    // that are stored now
	// Blobs and Bytes count content that was not stored before, manifests included. Linked is the part of Bytes that
	// was not copied: those files are hard links.
	Blobs   int   `json:"blobs"`
	Bytes   int64 `json:"bytes"`
	Linked  int64 `json:"linked"`
	Skipped int   `json:"skipped"` // tags, manifests and repositories
	Kept    int   `json:"kept"`    // tags that were pushed to this mirror and were not moved
	// Cache is true if the folder is that of a pull-through cache.
	Cache bool `json:"cache,omitempty"`
}
