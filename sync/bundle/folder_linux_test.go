package bundle_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"airmirror/sync/bundle"
)

// TestPipesAreNotWaitedFor has a pipe, which nobody writes to, for a layer.
func TestPipesAreNotWaitedFor(t *testing.T) {
	c := content{}
	dir := c.folder(t, c.image(t, "amd64", ""))
	blob := filepath.Join(dir, "blobs/sha256", c.blob(nil).Digest.Encoded())
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(blob, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := bundle.OpenFolder(dir, bundle.Limits{})
	for err == nil {
		_, err = r.Next()
	}
	isInvalid(t, err)
}
