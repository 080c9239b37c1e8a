package files

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var errDisk = errors.New("the disk is broken")

// failFsync makes every fsync of a path that match accepts fail.
func failFsync(f *Files, match func(path string) bool) {
	f.fsync = func(file *os.File) error {
		if match(file.Name()) {
			return errDisk
		}
		return file.Sync()
	}
}

func inIncoming(path string) bool { return filepath.Base(filepath.Dir(path)) == "incoming" }

func isFolder(path string) bool { return !inIncoming(path) }

func TestFailedFsyncKeepsNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		match func(path string) bool
		held  bool // the blob is there before
	}{
		{"of the file", inIncoming, false},
		{"of the folder", isFolder, false},
		{"of the folder of a held blob", isFolder, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, t.TempDir())
			d := digest.FromString("data")
			if test.held {
				if err := create(t, f, "", "data").Commit(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			failFsync(f, test.match)
			w := create(t, f, "upload", "data")
			if err := w.Commit(t.Context(), d); !errors.Is(err, errDisk) {
				t.Errorf("Commit: %v, want %v", err, errDisk)
			}
			wantIncoming(t, f)
			if _, err := f.Stat(t.Context(), d); (err == nil) != test.held {
				t.Errorf("Stat after a failed Commit: %v", err)
			}
			f.fsync = (*os.File).Sync
			if err := create(t, f, "", "data").Commit(t.Context(), d); err != nil {
				t.Errorf("Commit once the disk works again: %v", err)
			}
		})
	}
}

func TestCommitSyncsFileBeforeFolder(t *testing.T) {
	f := open(t, t.TempDir())
	d := digest.FromString("data")
	target, _ := f.path(d)
	var order []string
	f.fsync = func(file *os.File) error {
		_, err := os.Stat(target)
		state := " hidden"
		if err == nil {
			state = " named"
		}
		order = append(order, filepath.Base(file.Name())+state)
		return file.Sync()
	}
	w := create(t, f, "", "data")
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	want := []string{w.ID() + " hidden", d.Encoded()[:2] + " named"}
	if !slices.Equal(order, want) {
		t.Errorf("synced %q, want %q", order, want)
	}
}

func TestOpenSyncsNewFolders(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	synced := map[string]bool{}
	f := &Files{root: root, fsync: func(file *os.File) error { synced[file.Name()] = true; return nil }}
	if err := f.makeFolders(); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"../..", "..", ".", "blobs", "blobs/sha256", "blobs/sha512"} {
		if !synced[filepath.Join(root, folder)] {
			t.Errorf("folder %s got new names and was not synced", folder)
		}
	}
}

func TestDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	f := open(t, t.TempDir())
	for _, test := range []struct {
		name  string
		write func(w *writer) error
	}{
		{"Write", func(w *writer) error { _, err := w.Write([]byte("data")); return err }},
		{"ReadFrom", func(w *writer) error { _, err := w.ReadFrom(strings.NewReader("data")); return err }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := create(t, f, "upload", "")
			w.file.Close()
			w.file = full
			if err := test.write(w); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), w.ID()) {
				t.Errorf("error %v, want one that names the upload and wraps ENOSPC", err)
			}
			if w.Size() != 0 {
				t.Errorf("Size = %d after a write that failed", w.Size())
			}
			if err := w.Verify(digest.FromString("")); err != nil {
				t.Errorf("what was not written was hashed: %v", err)
			}
			w.file, _ = os.Open(w.path)
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		})
	}
	wantIncoming(t, f)
}

// heldBack opens a store whose fsyncs of folders wait until release is closed, and then fail with err.
func heldBack(t *testing.T, err error) (f *Files, release chan struct{}) {
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

// TestNothingBeforeFolderIsSynced: a second commit of the digest, Open and Stat wait for the first commit.
func TestNothingBeforeFolderIsSynced(t *testing.T) {
	for _, failure := range []error{nil, errDisk} {
		synctest.Test(t, func(t *testing.T) {
			f, release := heldBack(t, failure)
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
				t.Errorf("Stat with a cancelled context: %v", err)
			}
			close(release)
			wg.Wait()
			for i, err := range returned {
				// Once the first commit failed, readers may find what the second made, which fails as well.
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

// TestHeldBlobStaysReadable: to commit what is held does not make readers wait.
func TestHeldBlobStaysReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, release := heldBack(t, nil)
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
