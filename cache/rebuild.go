package cache

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// RecoveredRepo is where [Rebuild] puts images that nobody can name.
var RecoveredRepo = mirror.Repo{Host: "localhost", Path: "recovered"}

// RebuildSources say where names come from. The zero value has none: everything is recovered under [RecoveredRepo].
type RebuildSources struct {
	// Old is the index that the new one replaces, as far as it can be read; nil if there is none. It is only read. When all of
	// its manifests can be read, what it does not have was deleted: nothing of that is recovered.
	Old backend.Index
	// Unreadable is what could not be read of the file of Old, for instance some of its pages.
	Unreadable []error
	// Backup is a copy of the index, as [mirror.CheckStore] makes one; nil if there is none. It is only read. What Old has
	// counts, and Backup adds what Old does not have, also what was deleted since.
	Backup backend.Index
	// Names are what another record says that was held, as a receipt does; nil if there is none. Where Old or Backup says
	// something else of a tag, that stays.
	Names iter.Seq2[RebuildName, error]
	// Fast takes the name of a file for its digest and reads only those that are as small as a manifest.
	Fast bool
	// Progress is told about bytes of content; nobody is if it is nil.
	Progress mirror.Progress
}

// RebuildName is what somebody remembers of an image, or of a repository: then it has neither tag nor digest, and Origin is what
// [mirror.Store.RepoOrigin] said. It counts if it comes before the images of the repository, which has the origin of the
// first of them otherwise.
type RebuildName struct {
	Repo      mirror.Repo
	Tag       string // "" if it was held by its digest only
	Digest    digest.Digest
	MediaType string // "" if that is not known
	Origin    mirror.Origin
	Root      bool // it was brought in by its digest, see [mirror.Catalog.Roots]
}

// RebuildKind says what became of something.
type RebuildKind string

// What is worth telling. The rest is as it was.
const (
	RebuildDamaged    RebuildKind = "damaged"    // a file that was moved to the quarantine
	RebuildMissing    RebuildKind = "missing"    // a name of which the manifest is not there
	RebuildIncomplete RebuildKind = "incomplete" // an image of which blobs are not there, and that is therefore left out
	RebuildConflict   RebuildKind = "conflict"   // a tag of which there were two opinions
	RebuildRecovered  RebuildKind = "recovered"  // an image that nobody could name
	RebuildUnreadable RebuildKind = "unreadable" // a part of an index that could not be read
)

// RebuildEvent is something that is not as it was, or that somebody should look at.
type RebuildEvent struct {
	Kind   RebuildKind   `json:"kind"`
	Ref    string        `json:"ref,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"` // "" of what could not be read
	Entry  string        `json:"entry,omitempty"`  // table and key of the entry of an index that could not be read
	Reason string        `json:"reason"`           // a sentence
}

// RebuildSummary is what an index was made of.
type RebuildSummary struct {
	Seconds   float64             `json:"seconds"`
	Files     int64               `json:"files"` // that are held now
	Bytes     int64               `json:"bytes"` // of these
	Manifests int                 `json:"manifests"`
	Tags      int                 `json:"tags"`
	Deleted   int                 `json:"deleted,omitempty"` // manifests that no repository of the old index has: left to the collector
	Events    map[RebuildKind]int `json:"events,omitempty"`  // by kind
}

// rebuildBatch is how much is written in a transaction.
const rebuildBatch = 128

// Rebuild makes an index from the files, for when the index is lost. Nothing else may be using blobs or index. index must
// be new and empty; it is the caller's afterwards, and of use only if there was no error: put it where the store is opened
// only then, and keep the old one.
//
// Every file that is what it is called is held. Manifests are recognised by what they contain. Names come from the
// sources, with all that the indexes among them say: when things were added and used, whose repositories are, who may read
// what, and notes. An entry of them that cannot be read is told of and passed. An image for one platform, or what refers to
// an image, goes where its index or subject is. Images that nobody can name are tagged in [RecoveredRepo] with the first 12 digits of their digest, as if they had been pushed, and
// among them may be some that had been deleted and not been collected. An image that lacks blobs is kept only if it is
// mirrored: the rest comes when it is pulled. tell hears about what is not as it was; it may be nil.
//
// It needs some hundred bytes of memory for each manifest.
func Rebuild(ctx context.Context, blobs backend.Blobs, index backend.Index, sources RebuildSources, tell func(RebuildEvent)) (RebuildSummary, error) {
	if sources.Progress == nil {
		sources.Progress = mirror.NoProgress{}
	}
	if tell == nil {
		tell = func(RebuildEvent) {}
	}
	r := &rebuild{ctx: ctx, blobs: blobs, index: index, sources: sources, report: tell,
		found: make(map[digest.Digest]foundManifest), parents: make(map[digest.Digest][]digest.Digest), named: make(map[content]bool), tried: make(map[content]bool), reported: make(map[digest.Digest]bool),
		missing: make(map[missingRef]bool)}
	if sources.Old != nil {
		r.indexes = append(r.indexes, &sourceIndex{Index: sources.Old, name: "the old index", unreadable: make(map[backend.Table]bool)})
	}
	if sources.Backup != nil {
		r.indexes = append(r.indexes, &sourceIndex{Index: sources.Backup, name: "the backup", unreadable: make(map[backend.Table]bool)})
	}
	r.summary.Events = make(map[RebuildKind]int)
	began := time.Now()
	err := r.run()
	r.summary.Seconds = time.Since(began).Seconds()
	return r.summary, explain(err, "rebuild the index")
}

// rebuild is one under way.
type rebuild struct {
	ctx     context.Context
	blobs   backend.Blobs
	index   backend.Index
	sources RebuildSources
	report  func(RebuildEvent)
	summary RebuildSummary

	found    map[digest.Digest]foundManifest   // manifests
	parents  map[digest.Digest][]digest.Digest // of those that indexes name: the indexes
	indexes  []*sourceIndex                    // the first that has something counts
	named    map[content]bool                  // what did not come from these
	tried    map[content]bool                  // what need not be tried again for what it belongs to
	reported map[digest.Digest]bool            // what is not whole
	missing  map[missingRef]bool               // what was told to be gone
	clock    *clock
	steps    []step
}

// recognised is a file that is a manifest.
type foundManifest struct {
	mediaType string
	subject   digest.Digest
}

// missingRef is what is told to be gone, once, whoever remembers it.
type missingRef struct {
	ref    string
	digest digest.Digest
}

// step is something to be written. do may run more than once; after runs when it is durable.
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

// begin refuses an index that has something in it.
func (r *rebuild) begin() error {
	err := r.index.View(r.ctx, func(tx backend.ReadTx) error {
		if hasAny(tx, tableMeta, "") {
			return errors.New("the new index is not empty: begin with a new file")
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

// openClock goes on with the clock of the old index or else of the backup, by which the times in it were made.
func (r *rebuild) openClock() (err error) {
	if err = checkSchema(r.ctx, r.blobs, r.index, time.Time{}); err != nil {
		return err
	}
	from := r.index
	if len(r.indexes) > 0 {
		from = r.indexes[0]
	}
	if r.clock, err = openClock(r.ctx, from, newSystemClock(), zap.NewNop()); err != nil {
		return err
	}
	return r.index.Update(r.ctx, r.clock.write)
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

// add queues a step.
func (r *rebuild) add(s step) error {
	r.steps = append(r.steps, s)
	if len(r.steps) < rebuildBatch {
		return nil
	}
	return r.flush()
}

// flush writes what is queued.
func (r *rebuild) flush() error {
	steps := r.steps
	r.steps = nil
	if len(steps) == 0 {
		return nil
	}
	err := r.index.Update(r.ctx, func(tx backend.WriteTx) error {
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
