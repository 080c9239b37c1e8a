package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"airmirror/mirror/durable"
)

// TestReplace checks that a file is replaced as a whole or not at all, and that no temporary file is left.
func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "users")
	refused := errors.New("refused")
	for _, step := range []struct {
		data    string
		prepare error
		want    string
	}{{"one", nil, "one"}, {"two", refused, "one"}, {"three", nil, "three"}} {
		err := durable.Replace(path, []byte(step.data), func(file *os.File) error {
			if text, err := os.ReadFile(file.Name()); err != nil || len(text) > 0 {
				t.Errorf("before it was prepared, the file had %q, %v", text, err)
			}
			return errors.Join(step.prepare, file.Chmod(0o640))
		})
		if !errors.Is(err, step.prepare) {
			t.Errorf("%s: %v, want %v", step.data, err, step.prepare)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != step.want {
			t.Errorf("%s: the file has %q, %v, want %q", step.data, text, err, step.want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", step.data, info.Mode(), err)
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
			t.Errorf("%s: the folder has %v, %v", step.data, entries, err)
		}
	}
}

func TestSyncFolderReportsAMissingFolder(t *testing.T) {
	if err := durable.SyncFolder(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want %v", err, os.ErrNotExist)
	}
}
