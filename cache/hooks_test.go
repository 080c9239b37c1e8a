package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

var repo = mirror.Repo{Host: "docker.io", Path: "library/alpine"}

var errBroken = errors.New("disk broken")

// hookedIndex counts transactions, calls hooks after them, and can fail updates.
type hookedIndex struct {
	backend.Index
	views, updates atomic.Int64
	reads          atomic.Int64 // keys that views looked up or scanned
	afterView      func()
	broken         atomic.Bool // updates fail
	afterUpdate    func()
}

func (x *hookedIndex) View(ctx context.Context, f func(backend.ReadTx) error) error {
	x.views.Add(1)
	err := x.Index.View(ctx, func(tx backend.ReadTx) error { return f(countedReads{tx, &x.reads}) })
	if x.afterView != nil {
		x.afterView()
	}
	return err
}

// countedReads counts the keys that a transaction reads.
type countedReads struct {
	backend.ReadTx
	n *atomic.Int64
}

func (tx countedReads) Get(t backend.Table, key string) []byte {
	tx.n.Add(1)
	return tx.ReadTx.Get(t, key)
}

func (tx countedReads) Scan(t backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for k, value := range tx.ReadTx.Scan(t, prefix, after) {
			if tx.n.Add(1); !yield(k, value) {
				return
			}
		}
	}
}

func (x *hookedIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	x.updates.Add(1)
	if x.broken.Load() {
		return errBroken
	}
	err := x.Index.Update(ctx, locks, f)
	if x.afterUpdate != nil {
		x.afterUpdate()
	}
	return err
}

// hookedBlobs calls hooks and can return other bytes.
type hookedBlobs struct {
	backend.Blobs
	afterCommit  func()
	afterOpen    func()
	afterCreate  func(id string)
	beforeDelete func()
	content      map[digest.Digest]string
	stuck        atomic.Bool // deletions fail
}

func (b *hookedBlobs) Delete(ctx context.Context, d digest.Digest) error {
	if b.beforeDelete != nil {
		b.beforeDelete()
	}
	if b.stuck.Load() {
		return errBroken
	}
	return b.Blobs.Delete(ctx, d)
}

func (b *hookedBlobs) Create(ctx context.Context, algorithm digest.Algorithm, label string) (backend.Writer, error) {
	w, err := b.Blobs.Create(ctx, algorithm, label)
	if b.afterCreate != nil {
		b.afterCreate(w.ID())
	}
	return hookedWriter{w, b}, err
}

type hookedWriter struct {
	backend.Writer
	blobs *hookedBlobs
}

func (w hookedWriter) Commit(ctx context.Context, d digest.Digest) error {
	err := w.Writer.Commit(ctx, d)
	if w.blobs.afterCommit != nil {
		w.blobs.afterCommit()
	}
	return err
}

func (b *hookedBlobs) Open(ctx context.Context, d digest.Digest) (mirror.Blob, error) {
	if content, changed := b.content[d]; changed {
		return mirror.Blob{ReadSeekCloser: nopCloser{strings.NewReader(content)}, Size: int64(len(content))}, nil
	}
	blob, err := b.Blobs.Open(ctx, d)
	if b.afterOpen != nil {
		b.afterOpen()
	}
	return blob, err
}

func (b *hookedBlobs) Stat(ctx context.Context, d digest.Digest) (int64, error) {
	if content, changed := b.content[d]; changed {
		return int64(len(content)), nil
	}
	return b.Blobs.Stat(ctx, d)
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// image returns a manifest that needs one blob.
func image(config string, origin mirror.Origin) mirror.Manifest {
	data, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromString(config), Size: int64(len(config))},
	})
	if err != nil {
		panic(err)
	}
	return mirror.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(data), Bytes: data, Origin: origin}
}

func receive(ctx context.Context, s mirror.Store, blob string) error {
	in, err := s.Receive(ctx, digest.FromString(blob))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(in, blob); err != nil {
		return err
	}
	return in.Commit(ctx, repo)
}

func putManifest(t *testing.T, s mirror.Store, m mirror.Manifest, tags ...string) {
	t.Helper()
	if err := s.PutManifest(t.Context(), repo, m, tags...); err != nil {
		t.Fatal(err)
	}
}

func wantTag(t *testing.T, s mirror.Store, tag string, want digest.Digest) {
	t.Helper()
	if got, err := s.Tag(t.Context(), repo, tag); err != nil || got.Digest != want {
		t.Errorf("tag %s is %+v, %v; want %s", tag, got, err, want)
	}
}

func wantCode(t *testing.T, err error, want mirror.Code) {
	t.Helper()
	if got := mirror.CodeOf(err); got != want {
		t.Errorf("error is %q (%v), want %q", got, err, want)
	}
}

func closeStore(t *testing.T, s mirror.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
