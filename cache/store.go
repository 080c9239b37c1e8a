// Package cache stores the content of a mirror: bytes in a [backend.Blobs], everything else in a [backend.Index].
// [Open] opens a data folder; [Store] implements [mirror.Store]. All rules about content are implemented here, in
// transactions of the index, so that a backend is small and cannot break them. schema.go documents the tables of the
// index and their invariants.
//
// # Order of writes
//
// A blob is durable in Blobs before a transaction of the index refers to it, and only blobs in the index are visible. A
// crash between the two leaves an orphan: a file that is not in the index, see [Store.Orphans].
//
// # Caches in memory
//
// Frequently read manifests and tags are served from memory, see [recordCache]. The times of last use are collected in
// memory and written in batches, see [recency]; they are the only data that a crash may lose.
//
// # Several nodes
//
// If the index is a [backend.Shared], other nodes write to it. Then a tag, and whether a manifest is stored, is read from the
// index each time; only the bytes of manifests are in memory. An answer that content is stored depends on a last use that is
// in the index, see [Store.recordUse]. Work that one node at a time should do has a lease, see [Store.Leases].
//
// # Garbage collection
//
// [Store.Survey] gives a collector one consistent view of the index. [Store.Sweep] deletes what the collector selected,
// after checking each selection again in the transaction that deletes it. Three rules make this safe while other
// requests run:
//
//   - A use is recorded in memory before a caller learns that content is stored: see [recency] and [deleteFence].
//   - A file is deleted after its entry in the index, and never while another goroutine is about to add an entry for it:
//     see [digestLocks].
//   - A sweep that is interrupted between the two leaves an orphan.
package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/cache/lease"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// Options configure a [Store]. The zero value is ready to use.
type Options struct {
	// RecencyInterval is the longest time that a use stays in memory before it is written. The default is 30 seconds.
	RecencyInterval time.Duration
	// UploadWait is how long a request waits for another one that uses the same upload. The default is 5 seconds.
	UploadWait time.Duration
	// SweepTime is the target duration of a transaction that deletes content; writers wait for it. The default is 25
	// ms. Without concurrent writers, longer transactions are faster.
	SweepTime time.Duration
	// Clock provides the time. The default is the clock of the machine, or of the server that has a shared index.
	Clock backend.Clock
	// Grace is the grace period of collections of a shared index: the shortest time for which an answer that content is
	// stored holds is half of it. Sweeps keep blobs that were used within it. With zero, each such answer is written to
	// the index.
	Grace time.Duration
	// Node identifies this node among those of a shared index. NodeState are the kinds of state that each node has for itself,
	// such as its jobs.
	Node      string
	NodeState []string
	// Migrating is called before an index of an older version is migrated, which can take minutes. It may be nil.
	Migrating func()
	// Log receives errors that no caller sees. The default discards them.
	Log *zap.Logger
}

func (o Options) withDefaults() Options {
	if o.RecencyInterval == 0 {
		o.RecencyInterval = 30 * time.Second
	}
	if o.UploadWait == 0 {
		o.UploadWait = 5 * time.Second
	}
	if o.SweepTime == 0 {
		o.SweepTime = sweepTime
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Store implements [mirror.Store] on a [backend.Blobs] and a [backend.Index]. It is safe for concurrent use.
type Store struct {
	blobs   backend.Blobs
	index   backend.Index
	shared  bool            // other nodes use the index, too
	server  backend.Shared  // has the index that is shared; otherwise nil
	named   backend.Indexed // if the index has the names of blobs; otherwise nil
	options Options
	clock   *clock

	manifests      *recordCache[content, mirror.Manifest]
	tags           *recordCache[tagName, mirror.Tag]
	recency        *recency
	uploads        uploadLocks
	starting       sync.RWMutex // held from the creation of an upload until it is locked
	locks          digestLocks
	reads          sharedReads[mirror.Defect]
	fence          deleteFence
	largeManifests sharedReads[[]byte]
	sweeping       sync.Mutex // held during each transaction of a sweep
	// sweepWrites is the number of writes to which the last sweep limited a transaction; 0 before the first sweep.
	sweepWrites atomic.Int64

	closeOnce sync.Once
	closeErr  error
}

var _ mirror.Store = (*Store)(nil)

// New returns a store on blobs and index. The store owns them: [Store.Close] closes the index. After an error they
// still belong to the caller. An index that another version of the program has written is refused; [Open] migrates an
// older one.
func New(blobs backend.Blobs, below backend.Index, options Options) (*Store, error) {
	options = options.withDefaults()
	server, shared := below.(backend.Shared)
	if shared {
		below = lease.Fence(below)
	}
	index := packed.New(below, keyLayouts)
	clock, err := openAnyClock(context.Background(), index, server, options)
	if err != nil {
		return nil, fmt.Errorf("open store: read its clock: %w", err)
	}
	if err := checkSchema(context.Background(), index); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := clock.recordFirstUse(context.Background(), index); err != nil {
		return nil, fmt.Errorf("open store: write its clock: %w", err)
	}
	s := &Store{
		blobs:          blobs,
		index:          index,
		shared:         shared,
		server:         server,
		options:        options,
		clock:          clock,
		manifests:      newRecordCache[content](manifestCacheBytes, manifestCost),
		tags:           newRecordCache[tagName](tagCacheBytes, tagCost),
		recency:        newRecency(index, clock, options),
		largeManifests: sharedReads[[]byte]{slots: make(chan struct{}, maxLargeReads)},
	}
	s.named, _ = blobs.(backend.Indexed)
	go s.recency.run()
	return s, nil
}

// Close writes the times of last use and closes the index. No other method may be running.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		err := s.recency.close(context.Background())
		s.closeErr = errors.Join(err, s.index.Close())
	})
	return s.closeErr
}

// explain adds what failed to err, unless err is an error for clients already.
func explain(err error, format string, args ...any) error {
	var known *mirror.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// Now implements [mirror.CollectStore].
func (s *Store) Now() time.Time { return s.clock.now() }

// Leases returns the leases of the nodes that use the store, for this node, or nil if no other process can use the store. The
// name of the node is for messages.
func (s *Store) Leases(node string) mirror.Leases {
	if !s.shared {
		return nil
	}
	return lease.New(s.index, s.server, node)
}
