//go:build e2e

package e2e_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// The exit codes that `mirror serve --help` documents.
const (
	exitInUse   = 3
	exitData    = 4
	exitAddress = 5
)

// TestRefusesToStart: a mistake of the operator is one line, and an exit code for scripts.
func TestRefusesToStart(t *testing.T) {
	running := startMirror(t, "--offline")
	taken, err := net.Listen("tcp", testport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := tempDir(t)
	file := writeFile(t, dir, "file", "")

	for name, test := range map[string]struct {
		argv  []string
		code  int
		about string // what the line must name
	}{
		"data folder in use": {serve(testport.Address(t), running.data), exitInUse, running.data},
		"not a folder":       {serve(testport.Address(t), file), exitData, file},
		"taken port":         {serve(taken.Addr().String(), filepath.Join(dir, "data")), exitAddress, taken.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			r := try(t, environment(t), test.argv...)
			if r.code != test.code {
				t.Errorf("exit code %d, want %d", r.code, test.code)
			}
			if line := strings.TrimSuffix(r.stderr, "\n"); strings.Contains(line, "\n") || !strings.Contains(line, test.about) {
				t.Errorf("stderr is not one line about %s:\n%s", test.about, r.stderr)
			}
			if r.stdout != "" {
				t.Errorf("stdout is not empty:\n%s", r.stdout)
			}
		})
	}
}
