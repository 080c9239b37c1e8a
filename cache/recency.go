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
	// recencyBatch is how many uses are gathered before they are written early.
	recencyBatch = 4096
	// recencyLimit is how many are kept while the index takes none; further ones are forgotten.
	recencyLimit = 16 * recencyBatch
)

// recency remembers when somebody last had a use for a manifest or blob in a repository. That is what a collector needs
// to tell what is still wanted, at a grain of minutes, so a read must not cost a transaction: uses are gathered in memory
// and written in batches, every [Options.RecencyInterval], when there are many, and at the end. Until a batch is durable
// it is found in memory, so that who asks recency and then the index misses none.
type recency struct {
	index   backend.Index
	clock   *clock
	options Options

	flushing sync.Mutex

	mu      sync.Mutex
	used    map[content]time.Time
	writing map[content]time.Time // the batch that is being written; not changed

	full    chan struct{} // holds a token when a batch is full
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

// touch notes that c is being read.
func (r *recency) touch(c content) {
	at := r.clock.now()
	r.mu.Lock()
	if _, known := r.used[c]; known || len(r.used) < recencyLimit {
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

// run writes batches until close.
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
			r.options.Log.Error("cannot record when content was used; trying again", zap.Error(err))
		}
	}
}

// close ends run and writes the last batch.
func (r *recency) close(ctx context.Context) error {
	close(r.stop)
	<-r.stopped
	return r.flush(ctx)
}

// flush writes what was gathered. When that fails it is kept for the next time.
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
		maps.Copy(batch, r.used) // newer ones win
		r.used = batch
		return fmt.Errorf("record recency of use: %w", err)
	}
	return nil
}

// write writes a batch, and the moment by the clock of the store if there is one to be noted.
func (r *recency) write(ctx context.Context, batch map[content]time.Time) error {
	if len(batch) == 0 && !r.clock.recordDue() {
		return nil
	}
	return r.clock.writeWith(ctx, r.index, func(tx backend.WriteTx) error { return writeRecency(tx, batch) })
}

// last returns a use that is not in the index yet; the zero time if there is none.
func (r *recency) pendingUse(c content) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, found := r.used[c]; found {
		return at
	}
	return r.writing[c]
}

// all returns the uses that are not in the index yet.
func (r *recency) pending() map[content]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[content]time.Time, len(r.used)+len(r.writing))
	maps.Copy(all, r.writing)
	maps.Copy(all, r.used)
	return all
}

// writeRecency leaves out what was deleted since it was used.
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

// use calls read, which reports whether it found c, and notes that, unless one just looks. When use returns, nothing
// that a sweep had begun before can take away what was found.
func (s *Store) recordUse(ctx context.Context, c content, read func() (found bool, err error)) error {
	for {
		since := s.fence.current()
		found, err := read()
		if err != nil || !found || mirror.UsageIgnored(ctx) {
			return err
		}
		s.recency.touch(c)
		if spared, err := s.fence.passed(ctx, c.digest, since); spared || err != nil {
			return err
		}
	}
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

// lastUsed returns when c was used, as far as that is in the index.
func lastUsed(tx backend.ReadTx, c content) (time.Time, error) {
	record, _, err := getRecord[recencyRecord](tx, tableRecency, c.key())
	if err != nil {
		return time.Time{}, err
	}
	link, _, err := getRecord[linkRecord](tx, tableLinks, linkKey(c.repo, c.digest))
	return latest(record.Used, link.Used), err
}

// later returns the last of some times.
func latest(at time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(at) {
			at = other
		}
	}
	return at
}
