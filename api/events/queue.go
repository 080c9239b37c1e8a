package events

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"airmirror/mirror"
)

const (
	queueFile = "queue.db"
	// lockTimeout is how long to wait for another process that uses the same queue.
	lockTimeout = 5 * time.Second
)

// A queue is the queue of a lane for an endpoint: a bucket of a bbolt database that all lanes of the endpoint share. A
// key is a sequence number; a value is the client that the event counts for, a newline and the event as JSON. When put
// returns, the events survive a crash and a power failure. A queue is safe for concurrent use.
type queue struct {
	db   *bolt.DB
	lane lane
	more chan struct{} // receives after a put

	mu     sync.Mutex
	bound  int64                  // maximum of bytes
	shares *mirror.Shares[string] // of bytes, by client
	events int
	bytes  int64
	done   uint64 // the last key that was delivered. Earlier ones may still be there if the disk failed.
}

// openQueues opens the queues of an endpoint in a folder, or creates them. unreadable is the number of damaged events
// in files of an earlier version.
func openQueues(dir string, bound int64) (queues [lanes]*queue, unreadable int, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return queues, 0, err
	}
	options := bolt.Options{Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bolt.FreelistMapType}
	path := filepath.Join(dir, queueFile)
	db, err := bolt.Open(path, 0o600, &options)
	if err != nil {
		return queues, 0, fmt.Errorf("%s: %w", path, err)
	}
	for l := range lanes {
		q := &queue{db: db, lane: l, bound: bound, shares: mirror.NewShares[string](bound), more: make(chan struct{}, 1)}
		queues[l] = q
		err = q.load()
		if err == nil {
			var damaged int
			damaged, err = q.importFiles(dir)
			unreadable += damaged
		}
		if err != nil {
			return queues, 0, errors.Join(err, db.Close())
		}
	}
	return queues, unreadable, nil
}

func (l lane) bucket() []byte {
	if l == changes {
		return []byte("changes")
	}
	return []byte("reads")
}

// load creates the bucket if necessary and counts its events.
func (q *queue) load() error {
	return q.db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(q.lane.bucket())
		if err != nil {
			return err
		}
		return bucket.ForEach(func(_, value []byte) error {
			client, event := splitValue(value)
			q.account(client, int64(len(event)))
			return nil
		})
	})
}

// account adds an event to the counters, or removes one if size is negative.
func (q *queue) account(client string, size int64) {
	if q.events++; size < 0 {
		q.events -= 2
	}
	q.bytes += size
	if client != "" {
		q.shares.Force(client, size)
	}
}

func splitValue(value []byte) (client string, event []byte) {
	before, event, _ := bytes.Cut(value, []byte{'\n'})
	return string(before), event
}

// removed is an event that a transaction removes. The counters change when the transaction is committed.
type removed struct {
	client  string
	size    int64
	dropped bool // it was not delivered
}

// remove removes events from the front of the bucket while the condition holds.
func (q *queue) remove(bucket *bolt.Bucket, condition func(key uint64, freed int64) bool) (all []removed, err error) {
	freed := int64(0)
	cursor := bucket.Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.First() {
		number := binary.BigEndian.Uint64(key)
		if !condition(number, freed) {
			break
		}
		client, event := splitValue(value)
		all = append(all, removed{client, int64(len(event)), number > q.done})
		freed += int64(len(event))
		if err := cursor.Delete(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// put appends events. refused counts those of clients without a share left, which are not appended, and dropped the
// oldest ones that were removed to make room.
func (q *queue) put(entries []entry) (refused, dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var accepted []entry
	need := int64(0)
	for _, e := range entries {
		if e.client != "" && !q.shares.Take(e.client, int64(len(e.event))) {
			continue
		}
		accepted = append(accepted, e)
		need += int64(len(e.event))
	}
	if refused = len(entries) - len(accepted); len(accepted) == 0 {
		return refused, 0, nil
	}
	var old []removed
	err = q.db.Update(func(tx *bolt.Tx) (err error) {
		bucket := tx.Bucket(q.lane.bucket())
		old, err = q.remove(bucket, func(_ uint64, freed int64) bool { return q.bytes-freed+need > q.bound })
		if err != nil {
			return err
		}
		return appendTo(bucket, accepted)
	})
	for _, e := range accepted { // account takes it again
		if e.client != "" {
			q.shares.Give(e.client, int64(len(e.event)))
		}
	}
	if err != nil {
		return refused, 0, err
	}
	for _, e := range accepted {
		q.account(e.client, int64(len(e.event)))
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
	return refused, q.forget(old), nil
}

func appendTo(bucket *bolt.Bucket, entries []entry) error {
	for _, e := range entries {
		number, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		value := append([]byte(e.client+"\n"), e.event...)
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, number), value); err != nil {
			return err
		}
	}
	return nil
}

// forget updates the counters for removed events. It returns how many of them had not been delivered.
func (q *queue) forget(all []removed) (dropped int) {
	for _, r := range all {
		q.account(r.client, -r.size)
		if r.dropped {
			dropped++
		}
	}
	return dropped
}

// batch are the oldest events of a queue.
type batch struct {
	lane       lane
	events     [][]byte
	unreadable int    // damaged events among them
	last       uint64 // key of the last one
}

// peek returns the oldest events: at most the given number, and about as many bytes as size. The batch is empty if the
// queue is.
func (q *queue) peek(events int, size int64) (batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := batch{lane: q.lane}
	err := q.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(q.lane.bucket()).Cursor()
		start := binary.BigEndian.AppendUint64(nil, q.done+1)
		for key, value := cursor.Seek(start); key != nil && len(b.events) < events && size > 0; key, value = cursor.Next() {
			b.last = binary.BigEndian.Uint64(key)
			_, event := splitValue(value)
			if size -= int64(len(event)); json.Valid(event) {
				b.events = append(b.events, bytes.Clone(event))
			} else {
				b.unreadable++
			}
		}
		return nil
	})
	return b, err
}

// finish removes a batch. If that fails, peek does not return its events again in this process.
func (q *queue) finish(b batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = max(q.done, b.last)
	var old []removed
	err := q.db.Update(func(tx *bolt.Tx) (err error) {
		old, err = q.remove(tx.Bucket(q.lane.bucket()), func(key uint64, _ int64) bool { return key <= q.done })
		return err
	})
	if err == nil {
		q.forget(old)
	}
	return err
}

// waiting returns how many events are in the queue and their size in bytes.
func (q *queue) waiting() (events int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events, q.bytes
}

// setBound changes the maximum size of the queue. It takes effect with the next put.
func (q *queue) setBound(bound int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bound = bound
	q.shares.SetMost(bound)
}

// close closes the database, and with it the queues of all lanes.
func (q *queue) close() error { return q.db.Close() }
