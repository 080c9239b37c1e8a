package cache

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// recencyBatch is how many uses are gathered before they are written early.
	recencyBatch = 4096
	// recencyLimit is how many are kept while the index takes none; further ones are forgotten.
	recencyLimit = 16 * recencyBatch
)

// recency remembers when a manifest or blob was read last in a repository. That is what a collector needs to tell what
// is still wanted, at a grain of minutes, so a read must not cost a transaction: uses are gathered in memory and written
// in batches, every [Options.RecencyInterval], when there are many, and at the end.
type recency struct {
	index   Index
	options Options

	mu   sync.Mutex
	used map[content]time.Time

	full    chan struct{} // holds a token when a batch is full
	stop    chan struct{}
	stopped chan struct{}
}

func newRecency(index Index, options Options) *recency {
	return &recency{
		index:   index,
		options: options,
		used:    make(map[content]time.Time),
		full:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// touch notes that c is being read.
func (r *recency) touch(c content) {
	at := time.Now()
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
	r.mu.Lock()
	batch := r.used
	r.used = make(map[content]time.Time)
	r.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := r.index.Update(ctx, func(tx WriteTx) error { return writeRecency(tx, batch) })
	if err == nil {
		return nil
	}
	r.mu.Lock()
	maps.Copy(batch, r.used) // newer ones win
	r.used = batch
	r.mu.Unlock()
	return fmt.Errorf("record recency of use: %w", err)
}

// writeRecency leaves out what was deleted since it was read.
func writeRecency(tx WriteTx, batch map[content]time.Time) error {
	for c, at := range batch {
		if !has(tx, tableManifests, c.key()) && !has(tx, tableLinks, linkKey(c.repo, c.digest)) {
			continue
		}
		if err := put(tx, tableRecency, c.key(), recencyRecord{Used: at.UTC().Round(0)}); err != nil {
			return err
		}
	}
	return nil
}

// LastUsed returns when the manifest or blob d was last read in repo; the zero time if that is not known.
func (s *Store) LastUsed(ctx context.Context, repo mirror.Repo, d digest.Digest) (at time.Time, err error) {
	c := content{repo, d}
	s.recency.mu.Lock()
	at, found := s.recency.used[c]
	s.recency.mu.Unlock()
	if found {
		return at, nil
	}
	err = s.index.View(ctx, func(tx ReadTx) error {
		record, _, err := get[recencyRecord](tx, tableRecency, c.key())
		at = record.Used
		return err
	})
	return at, explain(err, "look up last use of %s in %s", d, repo)
}
