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

	"airmirror/mirror"
)

var errDisk = errors.New("the disk is broken")

// failFsync makes every fsync of a path that matches fail.
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

func TestFailedFsyncLeavesNoFile(t *testing.T) {
	for _, test := range []struct {
		name   string
		match  func(path string) bool
		stored bool // the blob is stored already
	}{
		{"of the file", inIncoming, false},
		{"of the folder", isFolder, false},
		{"of the folder's parent", isParent, false},
		{"of the folder of a stored blob", isFolder, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, t.TempDir())
			d := digest.FromString("data")
			if test.stored {
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
			if _, err := f.Stat(t.Context(), d); (err == nil) != test.stored {
				t.Errorf("Stat after a failed Commit: %v", err)
			}
			f.fsync = (*os.File).Sync
			if err := create(t, f, "", "data").Commit(t.Context(), d); err != nil {
				t.Errorf("Commit after the disk works again: %v", err)
			}
		})
	}
}

// TestFailedFsyncLeavesPartialBlob resumes a partial blob on a disk that fails. The partial blob must stay as it was.
func TestFailedFsyncLeavesPartialBlob(t *testing.T) {
	for name, match := range map[string]func(path string) bool{
		"of the file":              inIncoming,
		"of the folder's parent":   isParent,
		"of the folder":            isFolder,
		"of the folder of parts":   func(path string) bool { return filepath.Base(path) == "incoming" },
		"of whatever there may be": func(string) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, t.TempDir())
			partial, err := create(t, f, "", "da").SuspendPartial()
			if err != nil {
				t.Fatal(err)
			}
			end := func(end func(w *writer) error) error {
				w, err := f.ResumeBlob(t.Context(), partial)
				if err == nil {
					_, err = w.Write([]byte("ta"))
				}
				if err != nil {
					t.Fatal(err)
				}
				return end(w.(*writer))
			}
			commit := func(w *writer) error { return w.Commit(t.Context(), digest.FromString("data")) }
			failFsync(f, match)
			failed := end(func(w *writer) error { _, err := w.SuspendPartial(); return err })
			if (name == "of the folder of parts" || name == "of the file") && !errors.Is(failed, errDisk) {
				t.Errorf("SuspendPartial: %v", failed)
			}
			if failed = end(commit); name != "of the folder of parts" && !errors.Is(failed, errDisk) {
				t.Errorf("Commit: %v", failed)
			}
			if failed == nil {
				return
			}
			wantIncoming(t, f, partial.ID+partialSuffix)
			if info, err := os.Stat(f.incoming(partial.ID + partialSuffix)); err != nil || info.Size() != partial.Size {
				t.Errorf("the partial blob is %v, %v", info, err)
			}
			f.fsync = (*os.File).Sync
			if err := end(commit); err != nil {
				t.Errorf("Commit after the disk works again: %v", err)
			}
			wantIncoming(t, f)
		})
	}
}

// TestResumeBlobRefusesHardLinkedFile has a partial blob with a second name, as a file system may leave it after
// power loss. Its content must not change.
func TestResumeBlobRefusesHardLinkedFile(t *testing.T) {
	f := open(t, t.TempDir())
	partial, err := create(t, f, "", "data").SuspendPartial()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(f.incoming(partial.ID+partialSuffix), filepath.Join(f.root, "other")); err != nil {
		t.Skip(err)
	}
	partial.Size = 2
	if _, err := f.ResumeBlob(t.Context(), partial); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("ResumeBlob: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(f.root, "other")); err != nil || string(got) != "data" {
		t.Errorf("its content is %q, %v", got, err)
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
	order = nil // the parent folder is synced only once
	w = create(t, f, "", "data")
	if err := w.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if want := []string{d.Encoded()[:2] + " named"}; !slices.Equal(order, want) {
		t.Errorf("synced %q for a stored blob, want %q", order, want)
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
			t.Errorf("folder %s has new names and was not synced", folder)
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
				t.Errorf("Size = %d after a failed write", w.Size())
			}
			if err := w.Verify(digest.FromString("")); err != nil {
				t.Errorf("the hash includes bytes that were not written: %v", err)
			}
			w.file, _ = os.Open(w.path)
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		})
	}
	wantIncoming(t, f)
}
