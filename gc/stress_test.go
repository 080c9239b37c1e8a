package gc_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestStress pushes, pulls, mounts and deletes while collections without a grace period run. An image whose push was
// acknowledged stays complete and readable until it is deleted.
func TestStress(t *testing.T) {
	s := openStore(t, memoryFolder(t))
	defer s.close()
	load := &workload{testStore: s, t: t, changed: make(chan bool, 1)}
	deadline := time.Now().Add(5 * time.Second) // for slow machines
	var workers sync.WaitGroup
	for i, work := range []func(*rand.Rand, int){load.pushes, load.pushes, load.pushes, load.mounts, load.deletes, load.collections} {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for !t.Failed() && load.pushed.Load() < 200 && time.Now().Before(deadline) {
				work(random, i)
			}
		})
	}
	workers.Wait()
	if load.pushed.Load() == 0 || load.freed.Load() == 0 || load.deleted.Load() == 0 {
		t.Errorf("%d images were pushed, %d deleted, %d bytes freed", load.pushed.Load(), load.deleted.Load(), load.freed.Load())
	}
	t.Logf("%d images pushed, %d refused for a deleted blob, %d deleted, %d bytes freed", load.pushed.Load(), load.refused.Load(), load.deleted.Load(), load.freed.Load())
	for _, image := range load.images {
		load.pull(image)
	}
	s.collect(gc.Policy{Grace: -1, DeleteUntagged: true})
	for _, image := range load.images {
		load.pull(image)
	}
	if err := checkNoWaste(s); err != nil {
		t.Error(err)
	}
}

// workload runs several workers.
type workload struct {
	*testStore
	t                               *testing.T
	changed                         chan bool // holds a token after a write
	pushed, refused, deleted, freed atomic.Int64

	mu     sync.Mutex
	images []pushedImage // that must be stored
}

type pushedImage struct {
	repo, tag string
	digest    digest.Digest
	blobs     []string
}

// blobs returns a config of its own and layers that many images share.
func (l *workload) blobs(random *rand.Rand, worker int) []string {
	return []string{
		fmt.Sprintf("config %d %d", worker, random.IntN(1000)),
		strings.Repeat("base ", 1+random.IntN(3)), strings.Repeat("layer ", 1+random.IntN(3)),
	}
}

// pushes pushes an image as a client does: it does not send blobs that are stored. Without a grace period, these may
// be deleted before the manifest arrives; then it pushes the blobs again.
func (l *workload) pushes(random *rand.Rand, worker int) {
	image := pushedImage{repo: fmt.Sprintf("registry.test/team/app%d", worker%2), tag: fmt.Sprintf("v%d-%d", worker, random.IntN(20)), blobs: l.blobs(random, worker)}
	man := imageOf(mirror.Pushed, "", image.blobs...)
	image.digest = man.Digest
	for {
		for _, blob := range image.blobs {
			stat, err := l.StatBlob(l.t.Context(), repoOf(image.repo), digestOf(blob))
			if err != nil {
				l.t.Error(err)
				return
			}
			if !stat.Stored || !stat.Linked {
				l.send(image.repo, blob)
			}
		}
		// No image may be deleted during its push, or the expected content would be unknown.
		l.mu.Lock()
		err := l.PutManifest(l.t.Context(), repoOf(image.repo), man, image.tag)
		if err == nil {
			l.forget(image.repo, image.tag)
			l.images = append(l.images, image)
			l.mu.Unlock()
			break
		}
		l.mu.Unlock()
		if mirror.CodeOf(err) != mirror.CodeManifestBlobUnknown {
			l.t.Error(err)
			return
		}
		l.refused.Add(1)
	}
	l.pushed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pull(l.images[random.IntN(len(l.images))])
}

// send pushes a blob. Unlike push, it may be called by any goroutine.
func (l *workload) send(repo, blob string) {
	up, err := l.StartUpload(l.t.Context(), repoOf(repo), digest.SHA256)
	if err == nil {
		_, err = up.Append(strings.NewReader(blob))
	}
	if err == nil {
		err = up.Commit(l.t.Context(), digestOf(blob))
	}
	if err != nil {
		l.t.Error(err)
	}
	select {
	case l.changed <- true:
	default:
	}
}

// forget removes an image whose tag another one took from those that must be stored.
func (l *workload) forget(repo, tag string) {
	for i, image := range l.images {
		if image.repo == repo && image.tag == tag {
			l.images[i] = l.images[len(l.images)-1]
			l.images = l.images[:len(l.images)-1]
			return
		}
	}
}

// mounts mounts the blobs of an image in another repository and puts its manifest there.
func (l *workload) mounts(random *rand.Rand, worker int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.images) == 0 {
		return
	}
	image := l.images[random.IntN(len(l.images))]
	to := image
	to.repo, to.tag = "registry.test/team/other", fmt.Sprintf("v%d", random.IntN(20))
	for {
		for _, blob := range image.blobs {
			if _, err := l.Mount(l.t.Context(), repoOf(to.repo), repoOf(image.repo), digestOf(blob)); err != nil {
				l.t.Error(err) // the source repository has all its blobs
				return
			}
		}
		err := l.PutManifest(l.t.Context(), repoOf(to.repo), imageOf(mirror.Pushed, "", image.blobs...), to.tag)
		if err == nil {
			break
		}
		if mirror.CodeOf(err) != mirror.CodeManifestBlobUnknown { // without a grace period, a link may be deleted meanwhile
			l.t.Error(err)
			return
		}
		l.refused.Add(1)
	}
	l.forget(to.repo, to.tag)
	l.images = append(l.images, to)
}

// deletes deletes an image with all its tags.
func (l *workload) deletes(random *rand.Rand, _ int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.images) < 8 {
		return
	}
	image := l.images[random.IntN(len(l.images))]
	if err := l.DeleteManifest(l.t.Context(), repoOf(image.repo), image.digest); err != nil {
		l.t.Error(err)
		return
	}
	l.deleted.Add(1)
	rest := l.images[:0]
	for _, other := range l.images {
		if other.repo != image.repo || other.digest != image.digest {
			rest = append(rest, other)
		}
	}
	l.images = rest
}

// pull reads an image that must be stored. The caller holds l.mu.
func (l *workload) pull(image pushedImage) {
	ctx := l.t.Context()
	tag, err := l.Tag(ctx, repoOf(image.repo), image.tag)
	if err != nil || tag.Digest != image.digest {
		l.t.Errorf("%s:%s is %s, %v; want %s", image.repo, image.tag, tag.Digest, err, image.digest)
		return
	}
	if _, err := l.Manifest(ctx, repoOf(image.repo), image.digest); err != nil {
		l.t.Error(err)
	}
	for _, blob := range image.blobs {
		if err := l.read(image.repo, blob); err != nil {
			l.t.Errorf("%s:%s: %v", image.repo, image.tag, err)
		}
	}
}

// collections runs a collection without a grace period after something changed.
func (l *workload) collections(*rand.Rand, int) {
	select {
	case <-l.changed:
	case <-time.After(time.Second):
	}
	r, err := gc.Run(l.t.Context(), l.testStore, l.testStore, gc.Options{Policy: gc.Policy{Grace: -1, DeleteUntagged: true, UploadTTL: -1}}, nil)
	if err != nil {
		l.t.Error(err)
	}
	l.freed.Add(r.Bytes)
}

// checkNoWaste returns an error if something is stored that nothing needs.
func checkNoWaste(s *testStore) error {
	var size int64
	err := s.Survey(s.Context(), func(v mirror.Survey) error {
		for blob, err := range v.Blobs() {
			if err != nil {
				return err
			}
			if blob.Users == 0 {
				return fmt.Errorf("blob %s is left", blob.Digest)
			}
			size += blob.Size
		}
		return nil
	})
	if disk := s.disk(); err == nil && disk != size {
		err = fmt.Errorf("%d bytes on the disk, %d in the index", disk, size)
	}
	return err
}
