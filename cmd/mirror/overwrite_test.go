package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// writers are the commands that write files, with the arguments that name the file and the names that are written.
var writers = map[string]struct {
	args  []string
	files []string
}{
	"mirror backup":             {[]string{"file"}, []string{"file"}},
	"mirror bundle repair":      {[]string{"hurt.tar", "--output", "file"}, []string{"file"}},
	"mirror export":             {[]string{"--all", "--bundle", "file"}, []string{"file"}},
	"mirror export (volumes)":   {[]string{"--all", "--bundle", "file", "--volume-size", "1MB"}, []string{"file.001", "file-001.json"}},
	"mirror import":             {[]string{"plant.tar", "--receipt", "file"}, []string{"file"}},
	"mirror key generate":       {[]string{"--no-password", "--key", "file.key"}, []string{"file.key", "file.pub"}},
	"mirror sync":               {[]string{"--receipt", "file"}, []string{"file"}},
	"mirror sync (of a bundle)": {[]string{"--bundle", "plant.tar", "--receipt", "file"}, []string{"file"}},
}

// TestNoCommandReplacesFiles runs every command that writes a file beside an existing one, without and with --overwrite.
func TestNoCommandReplacesFiles(t *testing.T) {
	dir, registry := t.TempDir(), newOrigin(t)
	registry.image("library/app:v1")
	t.Setenv("MIRROR_DATA", filepath.Join(dir, "data"))
	run := func(args ...string) (string, int) {
		cmd := exec.Command("mirror", args...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, args := range [][]string{
		{"sync", "app:v1", "--upstream", "docker.io=" + registry.URL}, {"export", "--all", "--offline", "--bundle", "plant.tar"},
		{"export", "--all", "--offline", "--bundle", "hurt.tar", "--parity", "5%"},
	} {
		if out, code := run(args...); code != 0 {
			t.Fatalf("%v: exit code %d\n%s", args, code, out)
		}
	}
	hurt, err := os.OpenFile(filepath.Join(dir, "hurt.tar"), os.O_WRONLY, 0)
	must(t, err)
	_, err = hurt.WriteAt([]byte("damage"), 600)
	must(t, errors.Join(err, hurt.Close()))
	for name, w := range writers {
		command, _, _ := strings.Cut(name, " (")
		args := append(strings.Fields(command)[1:], w.args...)
		if !strings.HasPrefix(command, "mirror key") && !strings.HasPrefix(command, "mirror bundle") {
			args = append(args, "--offline")
		}
		for _, file := range w.files {
			path := filepath.Join(dir, file)
			must(t, os.WriteFile(path, []byte("precious"), 0o600))
			out, code := run(args...)
			if want := "mirror: " + file + " exists: --overwrite replaces it\n"; code != exitUsage || out != want {
				t.Errorf("%s: exit code %d, want %d\n%s\nwant %s", name, code, exitUsage, out, want)
			}
			content, err := os.ReadFile(path)
			must(t, err)
			if string(content) != "precious" {
				t.Errorf("%s replaced %s", name, file)
			}
			if out, code = run(append(args, "--overwrite")...); code != 0 {
				t.Errorf("%s --overwrite: exit code %d\n%s", name, code, out)
			}
			if content, err = os.ReadFile(path); err != nil || bytes.Contains(content, []byte("precious")) {
				t.Errorf("%s --overwrite did not replace %s: %v", name, file, err)
			}
			for _, written := range w.files {
				must(t, os.RemoveAll(filepath.Join(dir, written)))
			}
		}
	}
}

// TestWritersHaveOverwrite checks that the commands of TestNoCommandReplacesFiles are all that have --overwrite.
func TestWritersHaveOverwrite(t *testing.T) {
	tested := map[string]bool{}
	for name := range writers {
		command, _, _ := strings.Cut(name, " (")
		tested[command] = true
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if has := cmd.Flags().Lookup(overwriteFlag) != nil; has != tested[cmd.CommandPath()] {
			t.Errorf("'%s' has --%s: %t, and is tested: %t", cmd.CommandPath(), overwriteFlag, has, !has)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
}
