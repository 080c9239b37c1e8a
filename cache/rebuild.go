package cache

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// RecoveredRepo is the repository of recovered images whose names are unknown.
var RecoveredRepo = mirror.Repo{Host: "localhost", Path: "recovered"}

// RebuildSources are the sources of names. With the zero value, every image is recovered under [RecoveredRepo].
type RebuildSources struct {
	// Old is the index to be replaced, or its readable part; nil if there is none. It is only read. If all of its
	// manifests can be read, manifests that it does not have were deleted, and are not recovered.
	Old backend.Index
	// Unreadable lists the parts of Old that could not be read, such as pages of its file.
	Unreadable []error
	// Backup is a copy of the index, written by [mirror.CheckStore.Backup]; nil if there is none. It is only read. Old
	// takes precedence. Backup adds what Old does not have, including what was deleted since the backup.
	Backup backend.Index
	// Names are names from another record, such as a receipt; nil if there is none. Tags in Old and Backup take
	// precedence.
	Names iter.Seq2[RebuildName, error]
	// Fast trusts the names of files and reads only files that are small enough to be a manifest.
	Fast bool
	// Progress receives the number of bytes checked; it may be nil.
	Progress mirror.Progress
}

// RebuildName is the name of an image or of a repository. The name of a repository has neither tag nor digest, and
// Origin is the origin that [mirror.Catalog.RepoOrigin] returned. It must come before the images of the repository;
// otherwise the repository gets the origin of its first image.
type RebuildName struct {
	Repo      mirror.Repo
	Tag       string // "" for an image without a tag
	Digest    digest.Digest
	MediaType string // "" if it is unknown
	Origin    mirror.Origin
	Root      bool // added by digest, see [mirror.Catalog.Roots]
}

// RebuildKind is the kind of a [RebuildEvent].
type RebuildKind string

// Kinds of events. Everything else is restored unchanged.
const (
	RebuildDamaged    RebuildKind = "damaged"    // a file was damaged, and moved to the quarantine
	RebuildMissing    RebuildKind = "missing"    // the manifest of a name is missing
	RebuildIncomplete RebuildKind = "incomplete" // an image was skipped because blobs are missing
	RebuildConflict   RebuildKind = "conflict"   // two sources disagree about a tag; the first one is used
	RebuildRecovered  RebuildKind = "recovered"  // the name of an image is unknown
	RebuildUnreadable RebuildKind = "unreadable" // a part of an index cannot be read
)

// RebuildEvent reports something that could not be restored unchanged, or that an operator should look at.
type RebuildEvent struct {
	Kind   RebuildKind   `json:"kind"`
	Ref    string        `json:"ref,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"` // "" if it is unknown
	Entry  string        `json:"entry,omitempty"`  // table and key of an entry that could not be read
	Reason string        `json:"reason"`           // what happened, as a sentence
}

// RebuildSummary describes a new index.
type RebuildSummary struct {
	Seconds   float64             `json:"seconds"`
	Files     int64               `json:"files"` // number of stored files
	Bytes     int64               `json:"bytes"` // size of these files
	Manifests int                 `json:"manifests"`
	Tags      int                 `json:"tags"`
	Deleted   int                 `json:"deleted,omitempty"` // manifests of deleted images, left to the collector
	Events    map[RebuildKind]int `json:"events,omitempty"`  // number of events
}

// rebuildBatch is the number of steps in a transaction.
const rebuildBatch = 128

// Rebuild makes a new index from the files of a store whose index is lost or damaged. Nothing else may use blobs or
// index meanwhile. index must be empty. Rebuild does not close it; use it only if Rebuild returns no error.
//
// Rebuild indexes every file whose content matches its digest. Manifests are recognized by their content. Names come
// from the sources. From the indexes among them, Rebuild also copies times, origins, links and state. An entry that
// cannot be read is reported and skipped. A manifest for one platform is added to the repositories of its index, and a
// referrer to those of its subject. Rebuild tags images without a name in [RecoveredRepo] with the first 12 digits of
// their digest, and gives them the origin pushed. Some of them may be deleted images that the collector had not removed
// yet. A mirrored image may lack blobs: a pull fetches them. Rebuild skips a pushed or imported image that lacks blobs.
// report receives everything that was not restored unchanged; it may be nil.
//
// Rebuild needs a few hundred bytes of memory for each manifest.
func Rebuild(ctx context.Context, blobs backend.Blobs, index backend.Index, sources RebuildSources, report func(RebuildEvent)) (RebuildSummary, error) {
	if sources.Progress == nil {
		sources.Progress = mirror.NoProgress{}
	}
	if report == nil {
		report = func(RebuildEvent) {}
	}
	r := &rebuild{ctx: ctx, blobs: blobs, index: packed.New(index, keyLayouts), sources: sources, report: report,
		found: make(map[digest.Digest]foundManifest), parents: make(map[digest.Digest][]digest.Digest), named: make(map[content]bool), tried: make(map[content]bool), reported: make(map[digest.Digest]bool),
		missing: make(map[missingRef]bool)}
	if sources.Old != nil {
		r.sources.Old = readable(ctx, sources.Old)
		r.indexes = append(r.indexes, &sourceIndex{Index: r.sources.Old, name: "the old index", unreadable: make(map[backend.Table]bool)})
	}
	if sources.Backup != nil {
		r.sources.Backup = readable(ctx, sources.Backup)
		r.indexes = append(r.indexes, &sourceIndex{Index: r.sources.Backup, name: "the backup", unreadable: make(map[backend.Table]bool)})
	}
	r.summary.Events = make(map[RebuildKind]int)
	began := time.Now()
	err := r.run()
	r.summary.Seconds = time.Since(began).Seconds()
	return r.summary, explain(err, "rebuild the index")
}

// rebuild is a run of [Rebuild].
type rebuild struct {
	ctx     context.Context
	blobs   backend.Blobs
	index   backend.Index
	sources RebuildSources
	report  func(RebuildEvent)
	summary RebuildSummary

	found    map[digest.Digest]foundManifest   // manifests among the files
	parents  map[digest.Digest][]digest.Digest // by digest: the indexes that name it
	indexes  []*sourceIndex                    // in order of precedence
	named    map[content]bool                  // added, and not copied from an index
	tried    map[content]bool                  // children and referrers that need no second attempt
	reported map[digest.Digest]bool            // reported as incomplete
	missing  map[missingRef]bool               // reported as missing
	clock    *clock
	steps    []step
}

// foundManifest is a file that is a manifest.
type foundManifest struct {
	mediaType string
	subject   digest.Digest
}

// missingRef identifies what was reported as missing, so that it is reported once.
type missingRef struct {
	ref    string
	digest digest.Digest
}

// step is a pending write. do may run more than once; after runs when the write is durable.
type step struct {
	do    func(tx backend.WriteTx) error
	after func()
}

func (r *rebuild) run() error {
	if err := r.begin(); err != nil {
		return err
	}
	for _, part := range []func() error{r.addFiles, r.copyIndexes, r.dropDeleted, r.addNames, r.addRelatives, r.recoverUnnamed, r.addRelatives, r.restoreLinks, r.reportRest} {
		if err := errors.Join(part(), r.flush()); err != nil {
			return err
		}
	}
	return nil
}

// begin returns an error if the new index is not empty.
func (r *rebuild) begin() error {
	err := r.index.View(r.ctx, func(tx backend.ReadTx) error {
		if hasAny(tx, tableMeta, "") {
			return errors.New("the new index is not empty")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, reason := range r.sources.Unreadable {
		r.reportUnreadable("", reason.Error())
	}
	for _, from := range r.indexes {
		if err := r.checkSource(from); err != nil {
			return err
		}
	}
	return r.openClock()
}

// openClock continues the clock of the first source index, because the copied times are readings of that clock.
func (r *rebuild) openClock() (err error) {
	if err = checkSchema(r.ctx, r.index); err != nil {
		return err
	}
	from := r.index
	if len(r.indexes) > 0 {
		from = r.indexes[0]
	}
	if r.clock, err = openClock(r.ctx, from, newSystemClock(), zap.NewNop()); err != nil {
		return err
	}
	return r.index.Update(r.ctx, backend.Locks{}, r.clock.write)
}

func (r *rebuild) now() time.Time { return r.clock.now() }

func (r *rebuild) event(kind RebuildKind, ref string, d digest.Digest, reason string) {
	if name := (missingRef{ref, d}); kind == RebuildMissing {
		if r.missing[name] {
			return
		}
		r.missing[name] = true
	}
	r.summary.Events[kind]++
	r.reported[d] = r.reported[d] || kind == RebuildIncomplete
	r.report(RebuildEvent{Kind: kind, Ref: ref, Digest: d, Reason: reason})
}

// add adds a step to the pending transaction.
func (r *rebuild) add(s step) error {
	r.steps = append(r.steps, s)
	if len(r.steps) < rebuildBatch {
		return nil
	}
	return r.flush()
}

// flush runs the pending transaction.
func (r *rebuild) flush() error {
	steps := r.steps
	r.steps = nil
	if len(steps) == 0 {
		return nil
	}
	err := r.index.Update(r.ctx, backend.Locks{}, func(tx backend.WriteTx) error {
		for _, s := range steps {
			if err := s.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.after != nil {
			s.after()
		}
	}
	return nil
}
