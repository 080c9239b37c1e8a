package bundle_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"airmirror/sync/bundle"
)

// TestNamedPipe reads a folder in which a layer is a named pipe without a writer.
func TestNamedPipe(t *testing.T) {
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
