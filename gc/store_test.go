package gc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/files"
	"airmirror/gc"
	"airmirror/mirror"
)

// tester is the common part of *testing.T and *rapid.T.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// testStore is a real store in a folder. The content of a blob is its name.
type testStore struct {
	tester
	folder string
	*cache.Store
	index    backend.Index
	crash    *crashPoint
	fetchErr error // result of CanFetch
	began    time.Time
	stop     func() // stops a collector
	clock    backend.Clock
}

var errCrash = errors.New("crashed")

// crashPoint simulates the death of the process: after it, nothing is written any more.
type crashPoint struct {
	dead      atomic.Bool
	remaining atomic.Int64 // transactions until then; never if negative
}

type crashIndex struct {
	backend.Index
	*crashPoint
}

func (x crashIndex) Update(ctx context.Context, locks backend.Locks, f func(backend.WriteTx) error) error {
	if x.dead.Load() {
		return errCrash
	}
	wrote := false
	err := x.Index.Update(ctx, locks, func(tx backend.WriteTx) error {
		recorded := &recordingTx{WriteTx: tx}
		err := f(recorded)
		wrote = recorded.wrote
		return err
	})
	if wrote && err == nil && x.remaining.Add(-1) == 0 {
		x.dead.Store(true)
	}
	return err
}

// recordingTx records whether anything was written.
type recordingTx struct {
	backend.WriteTx
	wrote bool
}

func (tx *recordingTx) Put(t backend.Table, key string, value []byte) error {
	tx.wrote = true
	return tx.WriteTx.Put(t, key, value)
}

func (tx *recordingTx) Insert(t backend.Table, key string, value []byte) error {
	tx.wrote = true
	return tx.WriteTx.Insert(t, key, value)
}

func (tx *recordingTx) Delete(t backend.Table, key string) error {
	tx.wrote = true
	return tx.WriteTx.Delete(t, key)
}

type crashBlobs struct {
	backend.Blobs
	*crashPoint
}

func (b crashBlobs) Delete(ctx context.Context, d digest.Digest) error {
	if b.dead.Load() {
		return errCrash
	}
	return b.Blobs.Delete(ctx, d)
}

// memoryFolder returns a folder in memory if the system has one, for tests that would mostly wait for the disk.
func memoryFolder(t *testing.T) string {
	folder, err := os.MkdirTemp("/dev/shm", "gc-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

func openStore(t tester, folder string) *testStore {
	t.Helper()
	s := &testStore{tester: t, folder: folder, began: time.Now(), stop: func() {}, clock: &cachetest.Bubble{}}
	s.open()
	return s
}

func (s *testStore) open() {
	s.Helper()
	s.must(os.MkdirAll(s.folder, 0o750))
	index, err := bolt.Open(filepath.Join(s.folder, "index.db"))
	s.must(err)
	blobs, err := files.Open(s.folder)
	s.must(err)
	s.index, s.crash = index, new(crashPoint)
	s.crash.remaining.Store(-1)
	s.Store, err = cache.New(crashBlobs{blobs, s.crash}, crashIndex{index, s.crash}, cache.Options{Clock: s.clock})
	s.must(err)
}

func (s *testStore) close() {
	s.Helper()
	s.stop()
	if err := s.Store.Close(); err != nil && !errors.Is(err, errCrash) {
		s.Fatal(err)
	}
}

// kill ends the process and starts the next one.
func (s *testStore) kill() {
	s.Helper()
	s.crash.dead.Store(true)
	s.close()
	s.open()
}

func (s *testStore) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// CanFetch implements [gc.Sources].
func (s *testStore) CanFetch(context.Context, mirror.Repo) error { return s.fetchErr }

func repoOf(name string) mirror.Repo {
	repo, err := mirror.ParseRepo(name)
	if err != nil {
		panic(err)
	}
	return repo
}

// push pushes a blob.
func (s *testStore) push(repo, content string) {
	s.Helper()
	up, err := s.StartUpload(s.Context(), repoOf(repo), digest.SHA256)
	s.must(err)
	_, err = up.Append(strings.NewReader(content))
	s.must(err)
	s.must(up.Commit(s.Context(), digestOf(content)))
}

// receive stores a blob as a download does.
func (s *testStore) receive(repo, content string) {
	s.Helper()
	in, err := s.Receive(s.Context(), digestOf(content))
	s.must(err)
	_, err = in.Write([]byte(content))
	s.must(err)
	s.must(in.Commit(s.Context(), repoOf(repo)))
}

// put stores a manifest.
func (s *testStore) put(repo string, m mirror.Manifest, tags ...string) digest.Digest {
	s.Helper()
	s.must(s.PutManifest(s.Context(), repoOf(repo), m, tags...))
	return m.Digest
}

// pushImage pushes an image with blobs.
func (s *testStore) pushImage(repo, tag string, blobs ...string) digest.Digest {
	s.Helper()
	for _, blob := range blobs {
		s.push(repo, blob)
	}
	return s.put(repo, imageOf(mirror.Pushed, "", blobs...), tag)
}

// mirrorImage stores an image with blobs as a download does.
func (s *testStore) mirrorImage(repo, tag string, blobs ...string) digest.Digest {
	s.Helper()
	d := s.put(repo, imageOf(mirror.Mirrored, "", blobs...), tag)
	for _, blob := range blobs {
		s.receive(repo, blob)
	}
	return d
}

// read pulls a blob.
func (s *testStore) read(repo, content string) error {
	blob, err := s.Blob(s.Context(), repoOf(repo), digestOf(content))
	if err != nil {
		return err
	}
	defer blob.Close()
	got := make([]byte, blob.Size)
	if _, err := blob.Read(got); err != nil || string(got) != content {
		s.Fatalf("blob %q is %q, %v", content, got, err)
	}
	return nil
}

// pull pulls the image of a tag with its blobs.
func (s *testStore) pull(repo, tag string, blobs ...string) {
	s.Helper()
	t, err := s.Tag(s.Context(), repoOf(repo), tag)
	s.must(err)
	_, err = s.Manifest(s.Context(), repoOf(repo), t.Digest)
	s.must(err)
	for _, blob := range blobs {
		s.must(s.read(repo, blob))
	}
}

// disk returns the size of all files of blobs.
func (s *testStore) disk() (size int64) {
	s.Helper()
	s.must(filepath.WalkDir(filepath.Join(s.folder, "blobs"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}))
	return size
}

// file returns the content of the file of a blob.
func (s *testStore) file(d digest.Digest) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.folder, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded()))
}

// plan makes a plan.
func (s *testStore) plan(policy gc.Policy) *gc.Plan {
	s.Helper()
	opts := gc.Options{Policy: policy, ListBlobs: true}
	p, err := gc.MakePlan(s.Context(), s, s, opts, s.Now())
	s.must(err)
	return p
}

// execute executes a plan, and checks that it freed as much disk space as it says.
func (s *testStore) execute(p *gc.Plan) gc.Result {
	s.Helper()
	before := s.disk()
	var freed, uploads int64
	result, err := p.Execute(s.Context(), s, func(e gc.Candidate) {
		freed += e.Freed
		if e.Kind == gc.Upload {
			uploads += e.Freed
		}
	})
	s.must(err)
	if less := before - s.disk(); less != result.Bytes-uploads || freed != result.Bytes {
		s.Errorf("the disk has %d bytes less, candidates freed %d, result %+v", less, freed, result)
	}
	return result
}

// collect runs a collection, and checks that it did what it planned.
func (s *testStore) collect(policy gc.Policy) gc.Result {
	s.Helper()
	p := s.plan(policy)
	result := s.execute(p)
	if result.Kept != 0 || result.Totals != p.Totals {
		s.Errorf("result is %+v, want %+v as planned", result, p.Totals)
	}
	return result
}

// imageOf returns an image of blobs, the first of which is its config.
func imageOf(origin mirror.Origin, subject digest.Digest, blobs ...string) mirror.Manifest {
	doc := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for i, blob := range blobs {
		desc := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digestOf(blob), Size: int64(len(blob))}
		if i == 0 {
			desc.MediaType = v1.MediaTypeImageConfig
			doc.Config = desc
			continue
		}
		doc.Layers = append(doc.Layers, desc)
	}
	if subject != "" {
		doc.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject, Size: 1}
	}
	return manifestOf(origin, v1.MediaTypeImageManifest, doc)
}

// indexOf returns an index.
func indexOf(origin mirror.Origin, children ...digest.Digest) mirror.Manifest {
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, child := range children {
		doc.Manifests = append(doc.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: child, Size: 1})
	}
	return manifestOf(origin, v1.MediaTypeImageIndex, doc)
}

// ownerManifest returns a manifest that names digests without requiring them: an index of blobs, as BuildKit's cache
// is, or one with an unknown media type.
func ownerManifest(origin mirror.Origin, known bool, digests ...digest.Digest) mirror.Manifest {
	var list []v1.Descriptor
	for _, d := range digests {
		list = append(list, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: 1})
	}
	if known {
		return manifestOf(origin, v1.MediaTypeImageIndex, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: list})
	}
	return manifestOf(origin, "application/vnd.tomorrow+json", map[string]any{"parts": list})
}

func manifestOf(origin mirror.Origin, mediaType string, doc any) mirror.Manifest {
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return mirror.Manifest{MediaType: mediaType, Digest: digest.FromBytes(data), Bytes: data, Origin: origin}
}
