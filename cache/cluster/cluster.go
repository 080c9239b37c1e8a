// Package cluster opens a store that several nodes share: the index in PostgreSQL and the blobs in a bucket of an S3-compatible
// store. Each node has a data folder of its own beside it.
//
// # What is shared
//
// Everything that is stored: repositories, manifests, tags, blobs and their origin; uploads, which any node continues; pins,
// API tokens, the identity and the numbers of bundles, pending imports, the results of collections. A change on one node is
// seen by the next request to another one.
//
// The mode, read-only mode and wants are written to the index as well, and each node reads what others have written: the modes
// each second, wants within seconds. The images to backfill are read only when a node starts.
//
// # What each node has for itself
//
//   - In its data folder: the socket for commands, the users, the log of changes, events that are not delivered, and the local
//     copies of blobs. The file node.json identifies the node; its lock keeps a second process out of the folder.
//   - In the index, under the name of the node: the kinds of state in [cache.Options].NodeState, such as jobs.
//   - In memory: protections of content by [cache.Store.Protect], downloads, and the keys that sign bearer tokens.
//
// # What runs where
//
// One node at a time collects: it has the lease of the collector. A sweep is safe beside all other requests of all nodes, see
// package backend. But a protection is seen by its own node only: a collection on another node can delete what a long import has
// stored, and the import fails then. [Node.Clean] deletes objects that nothing names any more; the first node that finds it due
// does it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"airmirror/cache"
	"airmirror/cache/objects"
	"airmirror/cache/objects/s3"
	"airmirror/cache/postgres"
)

// Grace is the shortest time for which all nodes keep what was used. It is the same for all of them, since an answer of one
// node relies on the sweeps of the others.
const Grace = 10 * time.Minute

// Config describes a node.
type Config struct {
	// Folder is the data folder of the node. [Open] creates it if it does not exist. No other node may use it.
	Folder   string
	Postgres postgres.Options
	S3       s3.Config
	// CacheBytes bounds the local copies of blobs.
	CacheBytes int64
	// Options are those of the store. Open sets Node, and Grace if it is zero.
	cache.Options
}

// Node is a node with an open store. Closing the store closes the node.
type Node struct {
	*cache.Store
	index *postgres.Index
	blobs *objects.Objects
}

// Open opens the store of a node. It returns [cache.ErrInUse] if another process uses the data folder, and an error of one line
// that says what is missing if the database or the bucket cannot be used.
func Open(ctx context.Context, c Config) (*Node, error) {
	id, lock, err := claimFolder(c.Folder)
	if err != nil {
		return nil, err
	}
	n := &Node{}
	if err := n.open(ctx, c, id, lock); err != nil {
		return nil, errors.Join(err, n.closeEngines(), lock.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context, c Config, id string, lock io.Closer) (err error) {
	if n.index, err = postgres.Open(ctx, c.Postgres); err != nil {
		return err
	}
	n.blobs, err = objects.Open(ctx, n.index, objects.Options{S3: c.S3, Folder: filepath.Join(c.Folder, blobsFolder), CacheBytes: c.CacheBytes})
	if err != nil {
		return err
	}
	options := c.Options
	options.Node = id
	if options.Grace == 0 {
		options.Grace = Grace
	}
	n.Store, err = cache.New(n.blobs, engines{n.index, n, lock}, options)
	return err
}

// engines is the index of the store. It closes everything that belongs to it.
type engines struct {
	*postgres.Index
	node *Node
	lock io.Closer
}

// Close implements [airmirror/cache/backend.Index].
func (e engines) Close() error { return errors.Join(e.node.closeEngines(), e.lock.Close()) }

func (n *Node) closeEngines() (err error) {
	if n.blobs != nil {
		err = n.blobs.Close()
	}
	if n.index != nil {
		err = errors.Join(err, n.index.Close())
	}
	return err
}

// PingIndex returns an error if the database does not answer.
func (n *Node) PingIndex(ctx context.Context) error {
	_, err := n.index.ServerTime(ctx)
	return err
}

// PingBucket returns an error if the bucket does not answer, or belongs to another cluster.
func (n *Node) PingBucket(ctx context.Context) error { return n.blobs.Ping(ctx) }

const (
	// cleanState is the kind of the state that says when objects were last deleted.
	cleanState, cleanKey = "bucket cleaned", "last"
	// cleanInterval is the time between two runs, of all nodes.
	cleanInterval = time.Hour
	// cleanAge is how long an object stays that nothing names: longer than any request that may read it.
	cleanAge = 24 * time.Hour
)

// Clean deletes the objects that nothing has named for a day, and returns their number, unless a node has done so within the
// last hour.
func (n *Node) Clean(ctx context.Context) (deleted int, err error) {
	now, due := n.Now(), false
	err = n.ChangeState(ctx, cleanState, func(records map[string][]byte) (map[string][]byte, error) {
		last, err := time.Parse(time.RFC3339, string(records[cleanKey]))
		due = err != nil || now.Sub(last) >= cleanInterval
		if !due {
			return nil, nil
		}
		return map[string][]byte{cleanKey: []byte(now.UTC().Format(time.RFC3339))}, nil
	})
	if err != nil || !due {
		return 0, err
	}
	deleted, err = n.blobs.Clean(ctx, now.Add(-cleanAge))
	if err != nil {
		return deleted, fmt.Errorf("clean the bucket: %w", err)
	}
	return deleted, nil
}
