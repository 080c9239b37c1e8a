//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// tempDir returns a folder that is gone after the test, with whatever a daemon left mounted below it. Unlike the
// testing package's its path is short: sockets lie in it, and their paths may not be longer than 107 characters.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mirror-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unmountBelow(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	return dir
}

// unmountBelow unmounts what is mounted below a folder, the innermost first.
func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Error(err)
		return
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		// The fifth field, see proc(5).
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points) // they are listed in the order in which they were mounted
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", point, err)
		}
	}
}

// writeFile writes a file into a folder and returns its path.
func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment is what every program of a test runs in: nothing of the developer's own configuration, and a proxy that
// nobody listens on between it and the internet (Go's clients do not use a proxy for loopback). A client that falls
// back to Docker Hub fails at once then, wherever the tests run, instead of passing for the wrong reason.
func environment(t *testing.T, more ...string) []string {
	t.Helper()
	home := tempDir(t)
	writeFile(t, home, "config.json", "{}") // podman insists on it where DOCKER_CONFIG is set
	nowhere := "http://127.0.0.1:9"
	return append([]string{
		// The process of the tests listens, as proxies do, and pushes all the same.
		"MIRROR_AUTH_LOOPBACK_PUSH=true",
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"TMPDIR=" + home,
		"XDG_RUNTIME_DIR=" + home,
		"DOCKER_CONFIG=" + home,
		"HTTP_PROXY=" + nowhere, "http_proxy=" + nowhere,
		"HTTPS_PROXY=" + nowhere, "https_proxy=" + nowhere,
	}, more...)
}

// base is the name of the program that is run, whatever is in front of it.
func base(argv []string) string {
	if argv[0] == "nsenter" {
		argv = argv[2:]
	}
	return filepath.Base(argv[0])
}

// tail is the end of a text, for logs that may be long.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// userName is who runs the tests.
func userName(t *testing.T) string {
	t.Helper()
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return current.Username
}

// runningWith returns an error while there is a process with this text in its command line.
func runningWith(text string) error {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), text) { // those that ended are fine
			return fmt.Errorf("%s is running: %q", filepath.Dir(file), line)
		}
	}
	return nil
}
