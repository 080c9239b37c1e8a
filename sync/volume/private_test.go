//go:build linux

package volume_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"airmirror/sync/volume"
)

// TestFileModes checks that only the owner can read volumes and descriptions, with any umask, and also if a killed process
// left a part that everybody can read.
func TestFileModes(t *testing.T) {
	for _, tt := range []struct {
		umask int
		size  int64
		want  os.FileMode
	}{{0, 0, 0o600}, {0, 10, 0o600}, {0o022, 0, 0o600}, {0o277, 10, 0o400}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "bundle.tar")
		if tt.umask == 0 && tt.size == 0 {
			if err := os.WriteFile(path+"-part", []byte("left"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		before := syscall.Umask(tt.umask)
		save(t, path, content(25), tt.size, volume.Options{})
		syscall.Umask(before)
		for _, name := range names(t, dir) {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != tt.want {
				t.Errorf("with umask %03o, %s has mode %03o, want %03o", tt.umask, name, got, tt.want)
			}
		}
	}
}
