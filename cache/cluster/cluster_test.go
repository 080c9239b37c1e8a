package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cache"
)

// TestClaimFolder opens the data folder of a node twice, and again later.
func TestClaimFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if IsNode(folder) {
		t.Error("a folder that does not exist is that of a node")
	}
	id, lock, err := claimFolder(folder)
	if err != nil || id == "" || !IsNode(folder) {
		t.Fatalf("claimFolder = %q, %v", id, err)
	}
	if _, _, err := claimFolder(folder); !errors.Is(err, cache.ErrInUse) {
		t.Errorf("the folder is claimed twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, lock, err := claimFolder(folder)
	if err != nil || again != id {
		t.Errorf("later, the node is %q, %v; want %q", again, err, id)
	}
	lock.Close()
	if _, lock, err := claimFolder(t.TempDir()); err != nil {
		t.Error(err)
	} else {
		lock.Close()
	}
}

// TestFoldersThatAreRefused claims folders that are not those of a node.
func TestFoldersThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		cache.IndexName: {"", "content of its own"},
		nodeName:        {"{}", "it names no node"},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := claimFolder(folder); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("a folder with %s: %v, want %q", name, err, test.want)
		}
	}
}
