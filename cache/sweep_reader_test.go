package cache_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestSweepUnderAReader deletes content that a reader has found in the index and not opened yet: it is not stored, and
// no loss of a file is reported.
func TestSweepUnderAReader(t *testing.T) {
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	m := image("{}", mirror.Pushed)
	putManifest(t, s, m)
	for _, open := range []func() error{
		func() error { return second(s.Manifest(t.Context(), repo, m.Digest)) },
		func() error { return second(s.Blob(t.Context(), repo, digest.FromString("{}"))) },
	} {
		if err := receive(t.Context(), s, "{}"); err != nil {
			t.Fatal(err)
		}
		index.afterView = func() {
			index.afterView = nil
			c := mirror.DeleteRequest{
				Repo: repo, Before: time.Now(), Blobs: []digest.Digest{digest.FromString("{}")},
				Manifests: []mirror.ObservedManifest{{Digest: m.Digest, Used: time.Now()}},
			}
			if err := s.Sweep(t.Context(), slices.Values([]mirror.DeleteRequest{c}), nil); err != nil {
				t.Error(err)
			}
		}
		if err := open(); err == nil || mirror.CodeOf(err) == "" || strings.Contains(err.Error(), "missing") {
			t.Errorf("%v, want that it is not stored", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestSweepRecency checks that a sweep deletes the recency as well.
func TestSweepRecency(t *testing.T) {
	blobs, index := openFiles(t, t.TempDir()), openBolt(t, t.TempDir())
	s := newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	m := image("{}", mirror.Mirrored)
	putManifest(t, s, m, "v1")
	if _, err := s.Manifest(t.Context(), repo, m.Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.FlushRecency(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := mirror.DeleteRequest{
		Repo: repo, Before: time.Now(), Tags: []mirror.ObservedTag{{Name: "v1", Digest: m.Digest}},
		Manifests: []mirror.ObservedManifest{{Digest: m.Digest, Used: time.Now()}},
	}
	if err := s.Sweep(t.Context(), slices.Values([]mirror.DeleteRequest{c}), nil); err != nil {
		t.Fatal(err)
	}
	if err := cache.Check(t.Context(), blobs, index); err != nil {
		t.Error(err)
	}
	if last, err := s.LastUsed(t.Context(), repo, m.Digest); err != nil || !last.IsZero() {
		t.Errorf("used at %v, %v, and it is gone", last, err)
	}
}

// TestUploadBegins starts uploads while all of them are expired.
func TestUploadBegins(t *testing.T) {
	blobs := &hookedBlobs{Blobs: openFiles(t, t.TempDir())}
	s := newStore(t, blobs, openBolt(t, t.TempDir()), cache.Options{})
	defer closeStore(t, s)
	expired := make(chan bool, 1)
	blobs.afterCreate = func(id string) {
		go func() {
			done, err := s.ExpireUpload(context.Background(), id, time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			expired <- done
		}()
		for !s.ExpiryWaits() && len(expired) == 0 {
			runtime.Gosched()
		}
	}
	u, err := s.StartUpload(t.Context(), repo, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if <-expired {
		t.Error("expired before it could begin")
	}
	if err := u.Cancel(); err != nil {
		t.Error(err)
	}
}
