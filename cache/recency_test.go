package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/cache"
	"airmirror/mirror"
)

// lastUsed returns when the config of the test image was read, as the next process finds it.
func lastUsed(t *testing.T, s *cache.Store) time.Time {
	t.Helper()
	at, err := s.LastUsed(t.Context(), repo, digest.FromString("{}"))
	if err != nil {
		t.Error(err)
	}
	return at
}

func read(t *testing.T, s mirror.Store, blob string) {
	t.Helper()
	b, err := s.Blob(t.Context(), repo, digest.FromString(blob))
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// TestRecencyIsWrittenInBatches counts the transactions that reads cost. The bubble also finds goroutines that are left
// over.
func TestRecencyIsWrittenInBatches(t *testing.T) {
	blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		index := &hookedIndex{Index: openBolt(t, folder)}
		s := newStore(t, blobs, index, cache.Options{})
		if err := receive(t.Context(), s, "{}"); err != nil {
			t.Fatal(err)
		}
		if at := lastUsed(t, s); !at.IsZero() {
			t.Errorf("last used at %v, though nobody read it", at)
		}
		updates := index.updates.Load()
		after := func(wait time.Duration, want int64) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if n := index.updates.Load() - updates; n != want {
				t.Errorf("%d transactions so far, want %d", n, want)
			}
		}
		for range 100 {
			read(t, s, "{}")
		}
		after(29*time.Second, 0)
		after(2*time.Second, 1)
		after(time.Minute, 1) // nothing happened
		read(t, s, "{}")
		at := time.Now()
		if got := lastUsed(t, s); !got.Equal(at) {
			t.Errorf("last used at %v, want %v", got, at)
		}
		closeStore(t, s)

		s = newStore(t, blobs, openBolt(t, folder), cache.Options{})
		if got := lastUsed(t, s); !got.Equal(at) {
			t.Errorf("last used at %v in the next process, want %v", got, at)
		}
		closeStore(t, s)
	})
}

// TestRecencyIsKeptWhenTheIndexFails checks that a failed batch is written later.
func TestRecencyIsKeptWhenTheIndexFails(t *testing.T) {
	blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		core, log := observer.New(zap.ErrorLevel)
		index := &hookedIndex{Index: openBolt(t, folder)}
		s := newStore(t, blobs, index, cache.Options{Log: zap.New(core)})
		if err := receive(t.Context(), s, "{}"); err != nil {
			t.Fatal(err)
		}
		read(t, s, "{}")
		at := time.Now()
		index.broken.Store(true)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if log.Len() != 1 {
			t.Errorf("%d errors in the log, want 1", log.Len())
		}
		index.broken.Store(false)
		time.Sleep(30 * time.Second)
		closeStore(t, s)
		s = newStore(t, blobs, openBolt(t, folder), cache.Options{})
		if got := lastUsed(t, s); !got.Equal(at) {
			t.Errorf("last used at %v, want %v", got, at)
		}
		closeStore(t, s)
	})
}

// TestRecencyOfDeletedContent checks that it is not written.
func TestRecencyOfDeletedContent(t *testing.T) {
	blobs, index := openFiles(t, t.TempDir()), openBolt(t, t.TempDir())
	s := newStore(t, blobs, index, cache.Options{})
	defer closeStore(t, s)
	if err := receive(t.Context(), s, "{}"); err != nil {
		t.Fatal(err)
	}
	m := image("{}", mirror.Pushed)
	putManifest(t, s, m)
	use := func() {
		read(t, s, "{}")
		if _, err := s.Manifest(t.Context(), repo, m.Digest); err != nil {
			t.Fatal(err)
		}
	}
	use()
	if err := s.FlushRecency(t.Context()); err != nil {
		t.Fatal(err)
	}
	use()
	if err := s.DeleteManifest(t.Context(), repo, m.Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlink(t.Context(), repo, digest.FromString("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.FlushRecency(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cache.Check(t.Context(), blobs, index); err != nil {
		t.Error(err)
	}
}

// TestUploadWait checks how long a client waits for an upload in use.
func TestUploadWait(t *testing.T) {
	blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
		defer closeStore(t, s)
		u, err := s.StartUpload(t.Context(), repo, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = s.Upload(t.Context(), repo, u.ID())
		wantCode(t, err, mirror.CodeUploadBusy)
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
		time.AfterFunc(time.Second, func() { _ = u.Close() })
		if u, err = s.Upload(t.Context(), repo, u.ID()); err != nil {
			t.Fatal(err)
		}
		if err := u.Cancel(); err != nil {
			t.Error(err)
		}
	})
}
