package cache

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

const (
	// recencyBatch is the number of collected uses that is written without waiting for the interval.
	recencyBatch = 4096
	// recencyLimit is the number of uses that are kept while the index cannot be written; more are dropped.
	recencyLimit = 16 * recencyBatch
)

// recency records the time of the last use of a manifest or blob in a repository, which a collector needs at a
// precision of minutes. So that a read does not cost a transaction, uses are collected in memory and written in
// batches: every [Options.RecencyInterval], when there are many, and on close. A batch stays in memory until it is
// durable, so that a caller that asks recency first and the index second misses no use.
type recency struct {
	index   backend.Index
	clock   *clock
	options Options

	flushing sync.Mutex

	mu      sync.Mutex
	used    map[content]time.Time
	writing map[content]time.Time // the batch that is being written; it does not change

	full    chan struct{} // has a token when a batch is full
	stop    chan struct{}
	stopped chan struct{}
}

func newRecency(index backend.Index, clock *clock, options Options) *recency {
	return &recency{
		index:   index,
		clock:   clock,
		options: options,
		used:    make(map[content]time.Time),
		full:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// touch records a use of c now.
func (r *recency) touch(c content) {
	at := r.clock.now()
	r.mu.Lock()
	if len(r.used) < recencyLimit || !r.used[c].IsZero() {
		r.used[c] = at
	}
	full := len(r.used) >= recencyBatch
	r.mu.Unlock()
	if full {
		select {
		case r.full <- struct{}{}:
		default:
		}
	}
}

// run writes batches until close is called.
func (r *recency) run() {
	defer close(r.stopped)
	ticker := time.NewTicker(r.options.RecencyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
		case <-r.full:
		}
		if err := r.flush(context.Background()); err != nil {
			r.options.Log.Error("cannot write the times of last use; will retry", zap.Error(err))
		}
		if server := r.clock.server; server != nil {
			if err := server.sync(context.Background()); err != nil {
				r.options.Log.Error("cannot read the time of the server of the index; will retry", zap.Error(err))
			}
		}
	}
}

// close stops run and writes the last batch.
func (r *recency) close(ctx context.Context) error {
	close(r.stop)
	<-r.stopped
	return r.flush(ctx)
}

// flush writes the collected uses. After an error they are kept for the next flush.
func (r *recency) flush(ctx context.Context) error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	batch := r.used
	r.used, r.writing = make(map[content]time.Time), batch
	r.mu.Unlock()
	err := r.write(ctx, batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writing = nil; err != nil {
		maps.Copy(batch, r.used) // newer uses win
		r.used = batch
		return fmt.Errorf("write the times of last use: %w", err)
	}
	return nil
}

// write writes a batch, together with the clock record if that is due.
func (r *recency) write(ctx context.Context, batch map[content]time.Time) error {
	if len(batch) == 0 && !r.clock.recordDue() {
		return nil
	}
	return r.clock.writeWith(ctx, r.index, recencyLocks(batch), func(tx backend.WriteTx) error { return writeRecency(tx, batch) })
}

// pendingUse returns a use that is not in the index yet; the zero time if there is none.
func (r *recency) pendingUse(c content) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, found := r.used[c]; found {
		return at
	}
	return r.writing[c]
}

// pending returns the uses that are not in the index yet.
func (r *recency) pending() map[content]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[content]time.Time, len(r.used)+len(r.writing))
	maps.Copy(all, r.writing)
	maps.Copy(all, r.used)
	return all
}

// recencyLocks are the locks of an update that writes a batch and the record of the clock. A large batch is written alone.
func recencyLocks(batch map[content]time.Time) (locks backend.Locks) {
	if len(batch) > maxLocks/3 {
		return backend.Locks{}
	}
	locks.Exclusive = append(locks.Exclusive, clockLock)
	for c := range batch {
		locks = backend.Locks{Shared: append(locks.Shared, lockedRepo(c.repo)), Exclusive: append(locks.Exclusive, lockedDigest(c.digest))}
	}
	return backend.Locks{Shared: sortedNames(locks.Shared), Exclusive: sortedNames(locks.Exclusive)}
}

// writeRecency writes a batch. It skips content that was deleted since its use.
func writeRecency(tx backend.WriteTx, batch map[content]time.Time) error {
	for c, at := range batch {
		if has(tx, tableManifests, c.key()) {
			if err := putRecord(tx, tableRecency, c.key(), recencyRecord{Used: at}); err != nil {
				return err
			}
		}
		link, linked, err := getRecord[linkRecord](tx, tableLinks, linkKey(c.repo, c.digest))
		if err != nil {
			return err
		}
		if !linked {
			continue
		}
		link.Used = at
		if err := putRecord(tx, tableLinks, linkKey(c.repo, c.digest), link); err != nil {
			return err
		}
	}
	return nil
}

// LastUsed implements [mirror.Catalog].
func (s *Store) LastUsed(ctx context.Context, repo mirror.Repo, d digest.Digest) (at time.Time, err error) {
	c := content{repo, d}
	if at = s.recency.pendingUse(c); !at.IsZero() {
		return at, nil
	}
	err = s.index.View(ctx, func(tx backend.ReadTx) (err error) {
		at, err = lastUsed(tx, c)
		return err
	})
	return at, explain(err, "look up last use of %s in %s", d, repo)
}

// lastUsed returns the last use of c according to the index.
func lastUsed(tx backend.ReadTx, c content) (time.Time, error) {
	record, _, err := getRecord[recencyRecord](tx, tableRecency, c.key())
	if err != nil {
		return time.Time{}, err
	}
	link, _, err := getRecord[linkRecord](tx, tableLinks, linkKey(c.repo, c.digest))
	return latest(record.Used, link.Used), err
}

// latest returns the latest of the times.
func latest(at time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(at) {
			at = other
		}
	}
	return at
}
