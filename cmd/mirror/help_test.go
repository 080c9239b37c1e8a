package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// TestCommandsAreFoundByName checks the names in the table of commands, and that a command is there with and without the
// others.
func TestCommandsAreFoundByName(t *testing.T) {
	total := 0
	for _, group := range commandGroups {
		total += len(group.members)
		for _, member := range group.members {
			for _, args := range [][]string{nil, {member.name}} {
				found, _, err := newRootCommand(args...).Find([]string{member.name})
				if err != nil || found.Name() != member.name || found.GroupID != group.id {
					t.Errorf("arguments %q: %s is found as %s: %v", args, member.name, found.Name(), err)
				}
			}
		}
	}
	if n := len(newRootCommand().Commands()); n < total {
		t.Errorf("the help lists %d commands of %d", n, total)
	}
}

// TestEveryFlagIsDescribed checks the descriptions of all flags in help and in completions.
func TestEveryFlagIsDescribed(t *testing.T) {
	eachCommand(newRootCommand(cobra.ShellCompRequestCmd), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no description", cmd.CommandPath(), f.Name)
			}
		})
	})
	for _, args := range [][]string{{"serve", "--help"}, {"help", "serve"}, {cobra.ShellCompRequestCmd, "serve", "--off"}} {
		out, err := exec.Command("mirror", args...).Output()
		if err != nil || !strings.Contains(string(out), "contact no upstream") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
