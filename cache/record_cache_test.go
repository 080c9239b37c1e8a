package cache_test

import (
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestCacheNeedsNoTransaction reads a manifest and a tag from memory.
func TestCacheNeedsNoTransaction(t *testing.T) {
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Mirrored)
	putManifest(t, s, m, "v1")
	read := func() {
		wantTag(t, s, "v1", m.Digest)
		if _, err := s.Manifest(t.Context(), repo, m.Digest); err != nil {
			t.Error(err)
		}
	}
	read()
	before := index.views.Load()
	read()
	if n := index.views.Load() - before; n != 0 {
		t.Errorf("%d transactions to read what was just read", n)
	}
}

// paused is a reader that has read from the index and not added the value to the cache yet.
type paused struct {
	proceed chan struct{}
	ended   chan struct{}
}

func (p paused) resume() {
	close(p.proceed)
	<-p.ended
}

// pause starts read and waits until its first view has ended.
func pause(index *hookedIndex, read func()) paused {
	p := paused{make(chan struct{}), make(chan struct{})}
	inside := make(chan struct{})
	var once sync.Once
	index.afterView = func() {
		first := false
		once.Do(func() { first = true })
		if first {
			close(inside)
			<-p.proceed
		}
	}
	go func() {
		defer close(p.ended)
		read()
	}()
	<-inside
	return p
}

// TestLateReader resumes readers after a write that replaced what they read: they must not add it.
func TestLateReader(t *testing.T) {
	ctx := t.Context()
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	first, second := image("1", mirror.Mirrored), image("2", mirror.Mirrored)
	readTag := func() { _, _ = s.Tag(ctx, repo, "v1") }
	gone := func() {
		t.Helper()
		_, err := s.Tag(ctx, repo, "v1")
		wantCode(t, err, mirror.CodeManifestUnknown)
	}

	putManifest(t, s, first, "v1")
	late := pause(index, readTag)
	putManifest(t, s, second, "v1")
	late.resume()
	wantTag(t, s, "v1", second.Digest)

	putManifest(t, s, first, "v1")
	late = pause(index, readTag)
	if err := s.DeleteTag(ctx, repo, "v1"); err != nil {
		t.Fatal(err)
	}
	late.resume()
	gone()

	putManifest(t, s, first, "v1")
	late = pause(index, readTag)
	if err := s.DeleteManifest(ctx, repo, first.Digest); err != nil {
		t.Fatal(err)
	}
	late.resume()
	gone()

	putManifest(t, s, first, "v1")
	late = pause(index, func() { _, _ = s.Manifest(ctx, repo, first.Digest) })
	if err := s.DeleteManifest(ctx, repo, first.Digest); err != nil {
		t.Fatal(err)
	}
	late.resume()
	_, err := s.Manifest(ctx, repo, first.Digest)
	wantCode(t, err, mirror.CodeManifestUnknown)

	putManifest(t, s, second, "v1")
	late = pause(index, readTag)
	putManifest(t, s, first)
	if err := point(ctx, s, "v1", first); err != nil {
		t.Fatal(err)
	}
	late.resume()
	wantTag(t, s, "v1", first.Digest)

	mustHold(t, s, "1")
	late = pause(index, func() { _, _ = s.Manifest(ctx, repo, first.Digest) })
	if err := importManifest(ctx, s, image("1", mirror.Imported)); err != nil {
		t.Fatal(err)
	}
	late.resume()
	wantImported(t, s, first.Digest)
}

func wantImported(t *testing.T, s mirror.Store, d digest.Digest) {
	t.Helper()
	if got, err := s.Manifest(t.Context(), repo, d); err != nil || got.Origin != mirror.Imported {
		t.Errorf("manifest is %q, %v; want it to be imported", got.Origin, err)
	}
}

// TestNoWayBack stops a write between its commit and its end. From then on no reader may see the old value: not from
// memory, and not after a late reader has resumed.
func TestNoWayBack(t *testing.T) {
	ctx := t.Context()
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	first, second, third := image("1", mirror.Mirrored), image("2", mirror.Mirrored), image("3", mirror.Mirrored)
	mustHold(t, s, "3")
	putManifest(t, s, second)
	putManifest(t, s, third)
	if _, err := s.Manifest(ctx, repo, third.Digest); err != nil { // cached from now on
		t.Fatal(err)
	}

	writes := map[string]struct {
		write func() error
		check func()
	}{
		"Put": {
			func() error { return s.PutManifest(ctx, repo, second, "v1", "hot") },
			func() {
				wantTag(t, s, "v1", second.Digest)
				wantTag(t, s, "hot", second.Digest)
			},
		},
		"PointTags": {
			func() error { return point(ctx, s, "v1", second) },
			func() { wantTag(t, s, "v1", second.Digest) },
		},
		"Carry": {
			func() error { return importManifest(ctx, s, image("3", mirror.Imported)) },
			func() { wantImported(t, s, third.Digest) },
		},
		"DeleteManifest": {
			func() error { return s.DeleteManifest(ctx, repo, first.Digest) },
			func() {
				for _, tag := range []string{"v1", "hot"} {
					_, err := s.Tag(ctx, repo, tag)
					wantCode(t, err, mirror.CodeManifestUnknown)
				}
			},
		},
	}
	for name, w := range writes {
		t.Run(name, func(t *testing.T) {
			putManifest(t, s, first, "v1", "hot")
			wantTag(t, s, "hot", first.Digest)
			late := pause(index, func() { _, _ = s.Tag(ctx, repo, "v1") })
			committed, end := make(chan struct{}), make(chan struct{})
			index.afterUpdate = func() {
				close(committed)
				<-end
			}
			written := make(chan error)
			go func() { written <- w.write() }()
			<-committed
			w.check()
			late.resume()
			w.check()
			close(end)
			if err := <-written; err != nil {
				t.Error(err)
			}
			index.afterUpdate = nil
			w.check()
		})
	}
}

// TestCachedTagOfDeletedManifest deletes a manifest whose tags are cached.
func TestCachedTagOfDeletedManifest(t *testing.T) {
	s := newStore(t, openFiles(t, t.TempDir()), openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Mirrored)
	tags := []string{"v1", "v2", "v3"}
	putManifest(t, s, m, tags...)
	for _, tag := range tags {
		wantTag(t, s, tag, m.Digest)
	}
	if err := s.DeleteManifest(t.Context(), repo, m.Digest); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		_, err := s.Tag(t.Context(), repo, tag)
		wantCode(t, err, mirror.CodeManifestUnknown)
	}
}
