//go:build e2e

package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyOfTheProject copies the sources, and not what was built or kept beside them.
func copyOfTheProject(t *testing.T) string {
	t.Helper()
	to := filepath.Join(tempDir(t), "airmirror")
	err := filepath.WalkDir(project, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(project, path)
		switch {
		case err != nil:
			return err
		case name == ".git" || name == "bin" || name == "data":
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestMakeRun: a checkout serves on port 5000 after `make run`, and this machine may push.
func TestMakeRun(t *testing.T) {
	need(t, "make", "go")
	needPort(t, ":5000")
	env := environment(t, "MIRROR_OFFLINE=true")
	for _, variable := range []string{"GOCACHE", "GOMODCACHE"} { // what is there need not be built and fetched again
		env = append(env, variable+"="+strings.TrimSpace(run(t, os.Environ(), "go", "env", variable)))
	}
	served := start(t, env, "make", "-C", copyOfTheProject(t), "--no-print-directory", "run")
	served.waitReady(t, "localhost:5000")
	if out := served.output(t); !strings.Contains(out, "serves http://localhost:5000 and stores everything in data") {
		t.Errorf("make run prints\n%s", out)
	}
	push(t, helloIndex(t, ociFormat, "hello"), "localhost:5000/team/hello:1")
}
