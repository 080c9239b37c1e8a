package cachetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"airmirror/mirror"
)

// SharedStore tests two stores that use one index and the same blobs, as two nodes do. open opens both on an empty index,
// without a grace period and with the clock of the machine.
func SharedStore(t *testing.T, open func(t *testing.T) (a, b mirror.Store)) {
	t.Run("Random", func(t *testing.T) { testSharedRandom(t, open) })
	t.Run("Caches", func(t *testing.T) { testSharedCaches(t, open) })
	t.Run("Sweep", func(t *testing.T) { testSharedSweep(t, open) })
	t.Run("States", func(t *testing.T) { testSharedStates(t, open) })
}

// testSharedStates changes one record on both nodes at the same time. No change may be lost.
func testSharedStates(t *testing.T, open func(t *testing.T) (a, b mirror.Store)) {
	first, second := open(t)
	nodes := []*storeTest{{Store: first, t: t, ctx: t.Context()}, {Store: second, t: t, ctx: t.Context()}}
	const workers, each = 6, 5
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() { nodes[worker%len(nodes)].count("count", each) })
	}
	all.Wait()
	for _, s := range nodes {
		if records, err := s.State(s.ctx, "count"); err != nil || string(records["n"]) != strconv.Itoa(workers*each) {
			t.Errorf("a node counted %q, %v; want %d", records, err, workers*each)
		}
	}
	for _, s := range nodes {
		s.must(s.Close())
	}
}

// testSharedRandom changes the same content on both nodes, while images are pushed that nobody deletes.
func testSharedRandom(t *testing.T, open func(t *testing.T) (a, b mirror.Store)) {
	first, second := open(t)
	nodes := []*storeTest{{Store: first, t: t, ctx: t.Context()}, {Store: second, t: t, ctx: t.Context()}}
	const workers, steps = 6, 25
	var all sync.WaitGroup
	for worker := range workers {
		s := &sharedWorker{storeTest: nodes[worker%len(nodes)], worker: worker, random: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		all.Go(func() {
			for step := range steps {
				s.step()
				s.keep(step)
			}
		})
	}
	all.Wait()
	for worker := range workers {
		for step := range steps {
			repo, image := keptImage(worker, step)
			for _, s := range nodes {
				m := image.manifest(mirror.Pushed)
				s.wantManifest(repo, m)
				s.wantTag(repo, "kept", m.Digest, mirror.Pushed)
				for _, blob := range image.blobs() {
					s.wantBlob(repo, blob, true)
				}
			}
		}
	}
	for _, s := range nodes {
		s.wantNoDefects()
	}
	for _, s := range nodes {
		s.must(s.Close())
	}
}

// sharedWorker changes a store by random steps.
type sharedWorker struct {
	*storeTest
	worker int
	random *rand.Rand
}

// step changes something that other workers change, too. It fails only as it may when another one was first.
func (s *sharedWorker) step() {
	repo, other := repoA, repoB
	if s.random.IntN(2) == 0 {
		repo, other = other, repo
	}
	layer := fmt.Sprint("layer ", s.random.IntN(3))
	common := image{config: "{}", layers: []string{layer}}
	tag := fmt.Sprint("v", s.random.IntN(3))
	d := digests(layer)[0]
	var err error
	switch s.random.IntN(7) {
	case 0, 1:
		s.push(repo, "{}")
		s.push(repo, layer)
		err = s.PutManifest(s.ctx, repo, common.manifest(mirror.Pushed), tag)
	case 2:
		err = s.PutManifest(s.ctx, repo, common.manifest(mirror.Mirrored), tag)
	case 3:
		err = s.DeleteManifest(s.ctx, repo, common.manifest(mirror.Pushed).Digest)
	case 4:
		err = s.DeleteTag(s.ctx, repo, tag)
	case 5:
		_, err = s.Mount(s.ctx, repo, other, d)
	case 6:
		err = s.Unlink(s.ctx, repo, d)
	}
	expected := []mirror.Code{mirror.CodeManifestUnknown, mirror.CodeBlobUnknown, mirror.CodeManifestBlobUnknown, mirror.CodeUnsupported}
	if err != nil && !slices.Contains(expected, mirror.CodeOf(err)) {
		s.t.Errorf("worker %d: %v", s.worker, err)
	}
}

// keep pushes an image that nobody deletes, to a repository that several workers create at the same time. It shares a layer
// with other images.
func (s *sharedWorker) keep(step int) {
	repo, image := keptImage(s.worker, step)
	for _, blob := range image.blobs() {
		s.push(repo, blob)
	}
	if err := s.PutManifest(s.ctx, repo, image.manifest(mirror.Pushed), "kept"); err != nil {
		s.t.Errorf("worker %d: %v", s.worker, err)
	}
}

func keptImage(worker, step int) (mirror.Repo, image) {
	repo := mirror.Repo{Host: "docker.io", Path: fmt.Sprintf("team%d/app%d", step, worker/2)}
	return repo, image{config: fmt.Sprint(`{"a":`, worker/2, "}"), layers: []string{fmt.Sprint("layer ", step%3)}}
}
