package migrate

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/progress"
)

// The kinds of [Event].
const (
	// KindPlan is reported once, when the repositories are known. Total is their number.
	KindPlan = "plan"
	// KindProgress is reported at intervals. Done and Total are bytes; Total grows while manifests are read. Doing
	// names the content that is being read.
	KindProgress = "progress"
	// KindSkipped reports a tag, a manifest or a repository that was skipped, with the Error.
	KindSkipped = "skipped"
	// KindKept reports a tag that was pushed to this mirror and was not moved: it still points at Was.
	KindKept = "kept"
	// KindRepository reports that a repository is done: Tags and Manifests are stored, Skipped were skipped.
	KindRepository = "repository"
	// KindDone is reported last, with the Summary. Total and Done are as in KindProgress.
	KindDone = "done"
)

// Event is an event of a migration.
type Event struct {
	Time      time.Time
	Kind      string
	Name      string // of a repository, or name:tag or name@digest
	Total     int64
	Done      int64
	Doing     string
	Tags      int
	Manifests int
	Skipped   int
	Digest    digest.Digest // of a kept tag in the other registry
	Was       digest.Digest // of a kept tag in this mirror
	Error     string
	Summary   *Summary
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

// emit adds the time and the progress to an event and reports it.
func (r *run) emit(event Event) {
	r.Report(func(now progress.Snapshot) {
		event.Time = now.Time
		switch event.Kind {
		case KindProgress:
			event.Doing = now.Current
			fallthrough
		case KindDone:
			event.Done, event.Total = now.Done, now.Total
		}
		r.report(event)
	})
}
