package files

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// blockFolderSync opens a store whose fsyncs of folders wait until release is closed, and then fail with err.
func blockFolderSync(t *testing.T, err error) (f *Files, release chan struct{}) {
	f, release = open(t, t.TempDir()), make(chan struct{})
	f.fsync = func(file *os.File) error {
		if !isFolder(file.Name()) {
			return file.Sync()
		}
		<-release
		return errors.Join(err, file.Sync())
	}
	return f, release
}

// TestBlobIsInvisibleUntilFolderIsSynced checks that a second commit of the digest, Open and Stat wait for the first
// commit.
func TestBlobIsInvisibleUntilFolderIsSynced(t *testing.T) {
	for _, failure := range []error{nil, errDisk} {
		synctest.Test(t, func(t *testing.T) {
			f, release := blockFolderSync(t, failure)
			d := digest.FromString("data")
			first, second := create(t, f, "", "data"), create(t, f, "", "data")
			var returned [4]error
			var wg sync.WaitGroup
			var ended sync.Map
			run := func(i int, do func() error) {
				wg.Go(func() { returned[i] = do(); ended.Store(i, true) })
				synctest.Wait()
			}
			run(0, func() error { return first.Commit(t.Context(), d) })
			run(1, func() error { return second.Commit(t.Context(), d) })
			run(2, func() error { _, err := f.Stat(t.Context(), d); return err })
			run(3, func() error {
				blob, err := f.Open(t.Context(), d)
				if err == nil {
					blob.Close()
				}
				return err
			})
			ended.Range(func(i, _ any) bool {
				t.Errorf("call %d returned before the folder was synced: %v", i, returned[i.(int)])
				return true
			})
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := f.Stat(cancelled, d); !errors.Is(err, context.Canceled) {
				t.Errorf("Stat with a canceled context: %v", err)
			}
			close(release)
			wg.Wait()
			for i, err := range returned {
				// After the first commit failed, readers may find the file of the second, which fails as well.
				want := failure
				if i >= 2 && failure != nil {
					if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
						t.Errorf("call %d: %v, want %s", i, err, mirror.CodeBlobUnknown)
					}
				} else if !errors.Is(err, want) {
					t.Errorf("call %d: %v, want %v", i, err, want)
				}
			}
			wantIncoming(t, f)
		})
	}
}

// TestStoredBlobStaysReadableDuringCommit checks that readers of a stored blob do not wait for another commit of it.
func TestStoredBlobStaysReadableDuringCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, release := blockFolderSync(t, nil)
		d := digest.FromString("data")
		sync := f.fsync
		f.fsync = (*os.File).Sync
		if err := create(t, f, "", "data").Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		f.fsync = sync
		done := make(chan error)
		w := create(t, f, "", "data")
		go func() { done <- w.Commit(t.Context(), d) }()
		synctest.Wait()
		if size, err := f.Stat(t.Context(), d); err != nil || size != 4 {
			t.Errorf("Stat = %d, %v", size, err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
