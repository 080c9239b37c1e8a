package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache"
)

// TestLeftoversOfACrashAreRemoved checks that the next start removes what a killed server can leave, and that a file without
// an entry in the index is no defect.
func TestLeftoversOfACrashAreRemoved(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "--offline")
	pushConfig(t, p, "team/app")
	pushMany(t, p, 0, 1)
	p.kill()
	upload := uuid.NewString()
	orphan := digest.FromString("a blob whose entry was not written")
	leave := func(path, content string) string {
		path = filepath.Join(data, path)
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		must(t, os.WriteFile(path, []byte(content), 0o600))
		hourAgo := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(path, hourAgo, hourAgo))
		return path
	}
	removed := []string{
		leave(filepath.Join("incoming", upload), "a part of a blob"),
		leave(filepath.Join("incoming", ".ready"), "ready\n"),
		leave(filepath.Join("blobs", "sha256", ".ready"), "ready\n"),
		leave(".backup-1234", "a copy of the index"),
		leave(".htpasswd-1234", "a file of users"),
		leave(cache.IndexName+".compact", "a half of the index"),
	}
	kept := leave(filepath.Join("blobs", "sha256", orphan.Encoded()[:2], orphan.Encoded()), "a blob whose entry was not written")
	spawn(t, data, "--offline")
	for _, path := range removed {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("mirror", append(args, "--data", data)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("verify"); !strings.Contains(out, fmt.Sprintf("orphaned %s (34 B): ", orphan)) ||
		!strings.HasSuffix(out, ": no defects; 1 file that a crash left is deleted by 'mirror gc'\n") {
		t.Errorf("mirror verify says\n%s", out)
	}
	run("gc", "--grace", "0s")
	if _, err := os.Lstat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the collector leaves the orphan: %v", err)
	}
	if out := run("verify"); !strings.HasSuffix(out, ": no defects\n") {
		t.Errorf("mirror verify says\n%s", out)
	}
}
