package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// update rewrites golden files: go test ./cmd/mirror -run 'TestHelp|TestJSON' -update
var update = flag.Bool("update", false, "rewrite the golden files")

// TestHelp compares the help of every command with testdata/help. It fits 80 columns, and every
// command has an example.
func TestHelp(t *testing.T) {
	golden := map[string]bool{}
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		var out bytes.Buffer
		cmd.SetOut(&out)
		printHelp(cmd, nil)
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		golden[name+".txt"] = true
		compareGolden(t, filepath.Join("testdata", "help", name+".txt"), out.Bytes())
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s --help has a line of %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.HasParent() && !cmd.Parent().HasParent() && cmd.GroupID == "" {
			t.Errorf("%s is in no group", cmd.CommandPath())
		}
	})
	files, err := os.ReadDir(filepath.Join("testdata", "help"))
	must(t, err)
	for _, file := range files {
		if !golden[file.Name()] {
			t.Errorf("testdata/help/%s is the help of no command: remove it", file.Name())
		}
	}
}

// eachCommand calls do with cmd and all visible commands below it.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			eachCommand(sub, do)
		}
	}
}

// compareGolden compares a text with a golden file, or writes the file with -update.
func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (run the test with -update): %v\ngot:\n%s\nwant:\n%s", path, err, got, want)
	}
}

func TestWrap(t *testing.T) {
	const text = `The first paragraph
is wrapped.

  term    its description goes on below itself
  another
Text.
`
	const want = `The first
paragraph is
wrapped.

  term    its
          description
          goes on
          below
          itself
  another
Text.`
	if got := wrap(text, 18); got != want {
		t.Errorf("wrapped to\n%s", got)
	}
}
