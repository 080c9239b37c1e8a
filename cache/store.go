// Package cache holds content: bytes in a [backend.Blobs], what they are called in an [backend.Index]. [Store] puts the two together
// and implements [mirror.Store]. The rules of the domain are written here once, in transactions of the index, so that
// backends stay small and cannot break them; schema.go describes what is kept.
//
// # Order of writing
//
// Bytes are durable in Blobs before a transaction of the index names them, and only what the index names is visible. A
// crash in between leaves a file that nobody sees.
//
// # What is in memory
//
// Manifests and tags that are asked for often are answered without a transaction, see [hot]. When something was used
// last is gathered and written in batches, see [recency]: it is the only thing that a crash may lose.
//
// # Collecting
//
// [Store.Survey] shows everything in one view of the index, and [Store.Sweep] takes out what a collector chose by it,
// judging everything again in the transaction that does so. Three things keep that safe beside everything else: a use is
// in memory before anybody is told that something is held ([recency], [doomed]); files are deleted after the entries that
// named them, and never under somebody who is about to name them again ([guards]); and what only a part of this order
// came to is an orphan that nobody sees ([Store.Orphans]).
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
	"airmirror/mirror"
)

// Options change how a [Store] works; the zero value works.
type Options struct {
	// RecencyInterval is how long the time of a use may stay in memory only; 30 seconds if it is zero.
	RecencyInterval time.Duration
	// UploadWait is how long a client waits for another one to let go of an upload; 5 seconds if it is zero.
	UploadWait time.Duration
	// SweepTime is how long a transaction of a sweep should be at most, which everybody waits for who writes; 25 ms if it
	// is zero. With nobody there to wait, long ones are faster: what they change lies together in the end.
	SweepTime time.Duration
	// Clock is what the time is taken from; the machine's if it is nil.
	Clock backend.Clock
	// Log is told about what goes wrong where nobody is asking; nobody if it is nil.
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
	if o.Clock == nil {
		o.Clock = newSystemClock()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Store implements [mirror.Store] over blobs and an index.
type Store struct {
	blobs   backend.Blobs
	index   backend.Index
	options Options
	clock   *clock

	manifests      *recordCache[content, mirror.Manifest]
	tags           *recordCache[tagName, mirror.Tag]
	recency        *recency
	uploads        uploadLocks
	starting       sync.RWMutex // an upload has its id and not yet its turn
	locks          digestLocks
	reads          sharedReads[mirror.Defect]
	fence          deleteFence
	largeManifests sharedReads[[]byte]
	sweeping       sync.Mutex // held for each transaction of a sweep
	// sweepWrites is how many writes a transaction of the last sweep was to do; 0 before the first.
	sweepWrites atomic.Int64

	closeOnce sync.Once
	closeErr  error
}

var _ mirror.Store = (*Store)(nil)

// New returns a store over blobs and index, which it owns from then on: [Store.Close] closes the index. After an error
// they are still the caller's. An index that a newer version of the program has written is refused.
func New(blobs backend.Blobs, index backend.Index, options Options) (*Store, error) {
	options = options.withDefaults()
	clock, err := openClock(context.Background(), index, options.Clock, options.Log)
	if err != nil {
		return nil, fmt.Errorf("open store: read its clock: %w", err)
	}
	if err := checkSchema(context.Background(), blobs, index, clock.now()); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := clock.recordFirstUse(context.Background(), index); err != nil {
		return nil, fmt.Errorf("open store: note its clock: %w", err)
	}
	s := &Store{
		blobs:          blobs,
		index:          index,
		options:        options,
		clock:          clock,
		manifests:      newRecordCache[content](manifestCacheBytes, manifestCost),
		tags:           newRecordCache[tagName](tagCacheBytes, tagCost),
		recency:        newRecency(index, clock, options),
		largeManifests: sharedReads[[]byte]{slots: make(chan struct{}, maxLargeReads)},
	}
	go s.recency.run()
	return s, nil
}

// Close writes what is known about uses and closes the index. Call it when nothing else is running.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		err := s.recency.close(context.Background())
		s.closeErr = errors.Join(err, s.index.Close())
	})
	return s.closeErr
}

// explain says what was being done when err happened, unless err is already a sentence for a client.
func explain(err error, format string, args ...any) error {
	var known *mirror.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// Now implements [mirror.CollectStore].
func (s *Store) Now() time.Time { return s.clock.now() }
