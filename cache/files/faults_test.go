package files

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
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

func isFolder(path string) bool { return len(filepath.Base(path)) == 2 }

func isParent(path string) bool { return filepath.Base(path) == "sha256" }

func TestFailedFsyncKeepsNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		match func(path string) bool
		held  bool // the blob is there before
	}{
		{"of the file", inIncoming, false},
		{"of the folder", isFolder, false},
		{"of the folder's parent", isParent, false},
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
	want := []string{"sha256 hidden", w.ID() + " hidden", d.Encoded()[:2] + " named"}
	if !slices.Equal(order, want) {
		t.Errorf("synced %q, want %q", order, want)
	}
	order = nil // the parent of the folder is synced once
	w = create(t, f, "", "data")
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if want := []string{d.Encoded()[:2] + " named"}; !slices.Equal(order, want) {
		t.Errorf("synced %q for a blob that was held, want %q", order, want)
	}
}

func TestOpenSyncsNewFolders(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	synced := map[string]bool{}
	f := &Files{root: root, fsync: func(file *os.File) error { synced[file.Name()] = true; return nil }}
	if err := f.makeFolders(); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"../..", "..", ".", "blobs"} {
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
	defer full.Close()
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
