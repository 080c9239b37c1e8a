// Package objects stores blobs in a bucket of an S3-compatible store. It implements [backend.Blobs] for several nodes, which
// share the bucket and an index.
//
// # Names
//
// The name of an object is random. The index says which object has the content of a digest, and an object is never written
// again once the index names it. So nodes need no locks in the bucket, nothing is copied or renamed, and the bucket is not
// listed. Whoever stores the same digest again writes another object; the transaction that puts it in the place of the first
// one notes that one for deletion. [Objects.Clean] deletes what was noted, when no reader needs it any more. Content of up to
// 64 KiB is in the index itself.
//
// # Durable, then visible
//
// An object is complete, and its content verified, before a transaction names it. The store compares each request with the
// SHA-256 that was sent along. An object whose transaction fails is noted for deletion. A process that dies between the two
// leaves an object that nothing names. It costs space, until the bucket is compared with the index.
//
// # Uploads
//
// The record of an upload has its size, the state of its hash and its parts, so that each node can go on with it. Content up
// to 16 MiB is one object, and more is a multipart upload. Parts are sent while the content arrives. What is not a part yet
// when an upload is suspended becomes an object of its own, which another node reads back if it needs it. Each record has a
// generation: a node that was replaced by another one while it wrote cannot save or commit.
//
// A writer keeps the content in a file of this node until it ends, for its tails and for the cache. What another node has sent
// as a part cannot be read before the commit: such a writer has no tail, and cannot hash again by another algorithm.
//
// # Reads
//
// A blob is read into the disk cache of the node, once for all its readers, who read along. A reader gets the last byte after
// the content is verified, and an error if it is not. Files that an earlier process left in the cache are verified before
// their first use. The cache is bounded in bytes. What is being read or written needs room beside it, and so do the last 64
// suspended uploads of up to 16 MiB. A blob that is larger than the cache is deleted when it was read.
//
// # What is missing
//
// No answer of the registry is a redirect yet. The times of last writes are by the clocks of the nodes, and an upload that one
// node receives for longer than uploads may be idle can be discarded by another one. Credentials come from the settings, the
// environment or a file; roles of machines and pods are not supported.
package objects

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/objects/s3"
)

const (
	// maxInline is the size of the largest content that is stored in the index.
	maxInline = 64 << 10
	// partSize is the size of a part, and of the largest blob that is sent in one request.
	partSize = 16 << 20
	// minPart is the size of the smallest part that may be followed by another one.
	minPart = 5 << 20
	// verifiedFor and maxVerified bound what is remembered about objects that were verified.
	verifiedFor = 7 * 24 * time.Hour
	maxVerified = 1 << 17

	folderMode = 0o750
	fileMode   = 0o640
)

// Options are the options of [Open].
type Options struct {
	S3 s3.Config
	// Folder is for the disk cache and for content that arrives. No other process may use it.
	Folder string
	// CacheBytes bounds the disk cache. With 0, nothing is kept.
	CacheBytes int64
	Redirects  Redirects
}

// Objects is a bucket with its part of an index.
type Objects struct {
	bucket   *s3.Bucket
	index    backend.Index
	options  Options
	cache    *diskCache
	verified *verified

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex
	fills  map[string]*fill   // by the name of the object
	active map[string]*writer // by id
	kept   map[string]keptSpool
	work   sync.WaitGroup
}

var _ backend.Blobs = (*Objects)(nil)

// Open opens a bucket. It checks that the bucket belongs to the index, that the credentials have all rights, and empties the
// folder of content that an earlier process did not finish. The caller closes the index after the Objects.
func Open(ctx context.Context, index backend.Index, options Options) (*Objects, error) {
	bucket, err := s3.New(options.S3)
	if err != nil {
		return nil, err
	}
	o := &Objects{
		bucket: bucket, index: index, options: options, verified: newVerified(),
		fills: make(map[string]*fill), active: make(map[string]*writer), kept: make(map[string]keptSpool),
	}
	if err := o.prepareFolder(); err != nil {
		return nil, fmt.Errorf("prepare the folder of the disk cache: %w", err)
	}
	if err := o.checkBucket(ctx); err != nil {
		return nil, err
	}
	o.ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return o, nil
}

func (o *Objects) prepareFolder() (err error) {
	if err := os.RemoveAll(o.incoming("")); err != nil {
		return err
	}
	if err := os.MkdirAll(o.incoming(""), folderMode); err != nil {
		return err
	}
	o.cache, err = openDiskCache(filepath.Join(o.options.Folder, "cache"), o.options.CacheBytes)
	return err
}

func (o *Objects) incoming(name string) string {
	return filepath.Join(o.options.Folder, "incoming", name)
}

// Close ends what runs in the background, and waits for it. Open readers fail.
func (o *Objects) Close() error {
	o.mu.Lock() // nothing starts after this
	o.cancel()
	o.mu.Unlock()
	o.work.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.kept {
		s.drop()
	}
	clear(o.kept)
	return nil
}

// Ping returns an error if the bucket or the index cannot be reached.
func (o *Objects) Ping(ctx context.Context) error {
	id, err := o.indexID(ctx)
	if err != nil {
		return err
	}
	return o.checkMarker(ctx, id)
}

// verified remembers objects whose content was verified by this process.
type verified struct {
	mu      sync.Mutex
	entries *simplelru.LRU[string, time.Time]
}

func newVerified() *verified {
	entries, _ := simplelru.NewLRU[string, time.Time](maxVerified, nil) // only fails for a size of zero
	return &verified{entries: entries}
}

func (v *verified) add(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.entries.Add(key, time.Now())
}

func (v *verified) has(key string) bool { return v.within(key, verifiedFor) }

// within reports whether an object was verified within the last period.
func (v *verified) within(key string, period time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, found := v.entries.Get(key)
	return found && time.Since(at) < period
}

// errWrongDigest reports that stored content does not have its digest.
func errWrongDigest(d digest.Digest) error {
	return fmt.Errorf("blob %s is %w: its content has another digest", d, errDamaged)
}

var errDamaged = errors.New("damaged")
