package cachetest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeConcurrentTests = []storeCase{
	{"TagMoves", testConcurrentTagMoves},
	{"ManifestDeletes", testConcurrentManifestDeletes},
	{"PushesOfOneImage", testConcurrentPushesOfImage},
	{"UnlinkDuringPut", testUnlinkDuringPut},
}

// testConcurrentTagMoves moves tags through many manifests and sometimes deletes them. Readers compare what they read
// with what was acknowledged before, and with what any reader read before.
func testConcurrentTagMoves(s *storeTest) {
	const tags, states, steps = 3, 24, 120
	manifests := make([]mirror.Manifest, states)
	number := make(map[digest.Digest]int64)
	for i := range manifests {
		manifests[i] = image{config: fmt.Sprint(i)}.manifest(mirror.Mirrored)
		number[manifests[i].Digest] = int64(i)
		s.must(s.PutManifest(s.ctx, repoA, manifests[i]))
	}
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	for i := range tags {
		tag := fmt.Sprint("tag", i)
		var known atomic.Int64   // the newest step that was acknowledged or read
		var started atomic.Int64 // the newest step that started
		s.must(s.PutManifest(s.ctx, repoA, manifests[0], tag))
		for range 2 {
			readers.Go(func() {
				for !stop.Load() {
					low := known.Load()
					got, err := s.Tag(s.ctx, repoA, tag)
					high := started.Load()
					if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
						continue // the writer deleted it
					}
					// The step is the first one from low on that points at this manifest.
					step := low + (number[got.Digest]-low%states+states)%states
					if err != nil || step > high {
						s.t.Errorf("%s points at manifest %d, %v, between steps %d and %d", tag, number[got.Digest], err, low, high)
						return
					}
					raise(&known, step)
				}
			})
		}
		writers.Go(func() {
			for step := int64(1); step <= steps; step++ {
				if step%10 == 9 {
					if err := s.DeleteTag(s.ctx, repoA, tag); err != nil {
						s.t.Errorf("delete %s: %v", tag, err)
					}
					if _, err := s.Tag(s.ctx, repoA, tag); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
						s.t.Errorf("%s exists after its deletion: %v", tag, err)
					}
				}
				started.Store(step)
				m := manifests[step%states]
				if err := s.PutManifest(s.ctx, repoA, m, tag); err != nil {
					s.t.Errorf("put %s: %v", tag, err)
				}
				raise(&known, step)
				if got, err := s.Tag(s.ctx, repoA, tag); err != nil || got.Digest != m.Digest {
					s.t.Errorf("%s points at %v, %v after it was put to %s", tag, got, err, m.Digest)
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

// raise makes n at least step.
func raise(n *atomic.Int64, step int64) {
	for old := n.Load(); old < step && !n.CompareAndSwap(old, step); old = n.Load() {
	}
}

// testConcurrentManifestDeletes deletes a tagged manifest and puts it back while others read both.
func testConcurrentManifestDeletes(s *storeTest) {
	m := image{config: "{}"}.manifest(mirror.Mirrored)
	var readers sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		readers.Go(func() {
			for !stop.Load() {
				for _, err := range []error{errOf(s.Manifest(s.ctx, repoA, m.Digest)), errOf(s.Tag(s.ctx, repoA, "v1"))} {
					if code := mirror.CodeOf(err); code != "" && code != mirror.CodeManifestUnknown {
						s.t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 60 {
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		s.wantManifest(repoA, m)
		s.wantTag(repoA, "v1", m.Digest, mirror.Mirrored)
		s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		s.wantCode(errOf(s.Manifest(s.ctx, repoA, m.Digest)), mirror.CodeManifestUnknown)
		s.wantTag(repoA, "v1", "", "")
	}
	stop.Store(true)
	readers.Wait()
}

// errOf returns the error of a call with two results.
func errOf[T any](_ T, err error) error { return err }

// testConcurrentPushesOfImage pushes one image to several repositories at a time.
func testConcurrentPushesOfImage(s *storeTest) {
	image := image{config: "{}", layers: []string{"one", "two", strings.Repeat("three", 10000)}}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			repo := mirror.Repo{Host: "docker.io", Path: fmt.Sprint("same/", i/2)}
			for _, blob := range image.blobs() {
				in, err := s.Receive(s.ctx, digest.FromString(blob))
				if err != nil {
					s.t.Error(err)
					return
				}
				if _, err := io.WriteString(in, blob); err != nil {
					s.t.Error(err)
				}
				if err := in.Commit(s.ctx, repo); err != nil {
					s.t.Error(err)
				}
			}
			if err := s.PutManifest(s.ctx, repo, image.manifest(mirror.Pushed), "v1"); err != nil {
				s.t.Error(err)
			}
			s.wantManifest(repo, image.manifest(mirror.Pushed))
		})
	}
	all.Wait()
}

// testUnlinkDuringPut pushes a manifest while a blob that it needs is unlinked. Exactly one of the two must fail.
func testUnlinkDuringPut(s *storeTest) {
	for i := range 30 {
		m := image{config: "{}", annotations: map[string]string{"round": fmt.Sprint(i)}}.manifest(mirror.Pushed)
		d := s.push(repoA, "{}")
		var put, unlink error
		var both sync.WaitGroup
		both.Go(func() { put = s.PutManifest(s.ctx, repoA, m) })
		both.Go(func() { unlink = s.Unlink(s.ctx, repoA, d) })
		both.Wait()
		switch {
		case put == nil:
			s.wantCode(unlink, mirror.CodeUnsupported)
			s.wantBlob(repoA, "{}", true)
			s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
		case unlink == nil:
			s.wantCode(put, mirror.CodeManifestBlobUnknown)
			s.wantBlob(repoA, "{}", false)
		default:
			s.t.Fatalf("both failed: %v, %v", put, unlink)
		}
	}
}
