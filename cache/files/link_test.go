package files

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// writeForeign writes a file outside the store.
func writeForeign(t *testing.T, folder, data string) string {
	t.Helper()
	path := filepath.Join(folder, "foreign")
	if err := os.WriteFile(path, []byte(data), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is %q, %v; want %q", path, got, err, want)
	}
}

func TestLinkSyncsFileBeforeFolder(t *testing.T) {
	f := open(t, t.TempDir())
	d, path := digest.FromString("data"), writeForeign(t, t.TempDir(), "data")
	target, _ := f.path(d)
	var order []string
	f.fsync = func(file *os.File) error {
		_, err := os.Stat(target)
		state := " hidden"
		if err == nil {
			state = " named"
		}
		name := filepath.Base(file.Name())
		if inIncoming(file.Name()) {
			name = "file"
		}
		order = append(order, name+state)
		return file.Sync()
	}
	if _, linked, err := f.Link(t.Context(), d, path); err != nil || !linked {
		t.Fatalf("linked is %t, %v", linked, err)
	}
	if want := []string{"sha256 hidden", "file hidden", d.Encoded()[:2] + " named"}; !slices.Equal(order, want) {
		t.Errorf("synced %q, want %q", order, want)
	}
	wantIncoming(t, f)
}

func TestFailedFsyncLinksNothing(t *testing.T) {
	for name, match := range map[string]func(path string) bool{"of the file": inIncoming, "of the folder": isFolder, "of the folder's parent": isParent} {
		t.Run(name, func(t *testing.T) {
			f := open(t, t.TempDir())
			d, path := digest.FromString("data"), writeForeign(t, t.TempDir(), "data")
			failFsync(f, match)
			if _, _, err := f.Link(t.Context(), d, path); !errors.Is(err, errDisk) {
				t.Errorf("Link: %v, want %v", err, errDisk)
			}
			if _, err := f.Stat(t.Context(), d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Errorf("Stat after a failed Link: %v", err)
			}
			wantIncoming(t, f)
			wantFile(t, path, "data")
			f.fsync = (*os.File).Sync
			if _, linked, err := f.Link(t.Context(), d, path); err != nil || !linked {
				t.Errorf("after the disk works again: linked is %t, %v", linked, err)
			}
		})
	}
}

// TestLinkIsUnsupported checks that a refused link leaves nothing behind.
func TestLinkIsUnsupported(t *testing.T) {
	f := open(t, t.TempDir())
	path := writeForeign(t, t.TempDir(), "data")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"everybody may write to it": path}
	if elsewhere, err := os.MkdirTemp("/dev/shm", "link"); err == nil {
		defer os.RemoveAll(elsewhere)
		paths["another file system"] = writeForeign(t, elsewhere, "data")
	}
	for name, path := range paths {
		if _, _, err := f.Link(t.Context(), digest.FromString("data"), path); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want %v", name, err, errors.ErrUnsupported)
		}
		wantFile(t, path, "data")
	}
	wantIncoming(t, f)
}

// TestLinkSurvivesReplacedPath replaces the file at the path while it is linked. The blob must have the content that
// was read.
func TestLinkSurvivesReplacedPath(t *testing.T) {
	f := open(t, t.TempDir())
	folder := t.TempDir()
	d, path := digest.FromString("data"), writeForeign(t, folder, "data")
	replaced := &hookedContext{Context: t.Context()}
	replaced.on = func(call int) {
		if call != 1 {
			return
		}
		other := writeForeign(t, t.TempDir(), "evil")
		if err := os.Rename(other, path); err != nil {
			t.Error(err)
		}
	}
	if _, linked, err := f.Link(replaced, d, path); err != nil || !linked {
		t.Errorf("linked is %t, %v", linked, err)
	}
	target, _ := f.path(d)
	wantFile(t, target, "data")
	wantFile(t, path, "evil")
}

// TestLinkOfChangingFile overwrites a part of a file that was read already.
func TestLinkOfChangingFile(t *testing.T) {
	f := open(t, t.TempDir())
	data := strings.Repeat("data", bufferSize)
	d, path := digest.FromString(data), writeForeign(t, t.TempDir(), data)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	changing := &hookedContext{Context: t.Context()}
	changing.on = func(call int) {
		if call != 2 {
			return
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := file.WriteAt([]byte("evil"), 0); err != nil {
			t.Error(err)
		}
		file.Close()
	}
	if _, _, err := f.Link(changing, d, path); mirror.CodeOf(err) != mirror.CodeDigestInvalid {
		t.Errorf("Link: %v, want %s", err, mirror.CodeDigestInvalid)
	}
	wantIncoming(t, f)
	if _, err := f.Stat(t.Context(), d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Errorf("Stat: %v", err)
	}
}

// hookedContext calls on when its error is read, which happens before each part of a file is read.
type hookedContext struct {
	context.Context
	calls int
	on    func(call int)
}

func (c *hookedContext) Err() error {
	c.calls++
	c.on(c.calls)
	return c.Context.Err()
}

// TestCrashWhileLinking checks that the file keeps its name and content.
func TestCrashWhileLinking(t *testing.T) {
	f := open(t, t.TempDir())
	path := writeForeign(t, t.TempDir(), "data")
	w := create(t, f, "", "")
	if err := os.Link(path, f.incoming(w.id)); err != nil {
		t.Skip(err)
	}
	f = open(t, f.root)
	wantIncoming(t, f)
	wantFile(t, path, "data")
}
