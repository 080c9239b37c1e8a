//go:build e2e

package e2e_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// anything stands in a page for any text in a line, and alone on a line for any lines.
const anything = "…"

// step is one thing that a page does: a command with the output that the page shows, or a file that a reader saves.
type step struct {
	line    int
	command string
	output  []string
	file    string // saved with the output as its content
	hidden  bool   // in a comment: its output is not compared, and it must succeed
}

// ctrlC is the command of a step that stops the servers of the session.
const ctrlC = "Ctrl-C"

// steps reads a page: the commands of its console blocks; the files that its other blocks show, which begin with a
// comment that names a file, such as "# mirror.yaml"; and the commands of comments that begin with "<!-- run".
func steps(t *testing.T, path string) (all []step) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	within := ""
	for i, line := range strings.Split(string(text), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		block, isFence := strings.CutPrefix(line, "```")
		last := len(all) - 1
		switch {
		case isFence && within != "":
			within = ""
		case isFence:
			within = block
			if block == "yaml" || block == "text" {
				all = append(all, step{line: i + 2})
			}
		case line == "<!-- "+ctrlC+" -->":
			all = append(all, step{line: i + 1, command: ctrlC, hidden: true})
		case line == "<!-- run":
			within = "hidden"
		case within == "hidden" && line == "-->":
			within = ""
		case within == "hidden":
			all = append(all, step{line: i + 1, command: line, hidden: true})
		case within == "console" && isCommand:
			all = append(all, step{line: i + 1, command: command})
		case within == "console" && (last < 0 || all[last].command == ""):
			t.Fatalf("%s:%d: output of no command", path, i+1)
		case within == "console" || within == "yaml" || within == "text":
			all[last].output = append(all[last].output, line)
		}
	}
	return withFiles(all)
}

// withFiles names the files that steps show, and drops the blocks that are none.
func withFiles(all []step) (kept []step) {
	name := regexp.MustCompile(`^# ([a-z-]+\.(?:yaml|yml|txt))$`)
	for _, s := range all {
		if s.command == "" {
			match := name.FindStringSubmatch(append(s.output, "")[0])
			if match == nil {
				continue
			}
			s.file = match[1]
		}
		kept = append(kept, s)
	}
	return kept
}

// shows reports whether lines are what a page shows of them.
func shows(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == anything:
		return shows(want[1:], got) || len(got) > 0 && shows(want, got[1:])
	case len(got) == 0:
		return false
	}
	parts := strings.Split(typical(want[0]), anything)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	matched := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(typical(got[0]))
	return matched && shows(want[1:], got[1:])
}

// varying is what differs between two runs: sizes, digests, times.
var varying = []struct {
	*regexp.Regexp
	typical string
}{
	{regexp.MustCompile(`\b[0-9.]+ [KMG]?i?B\b`), "SIZE"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`\b(now|never|[0-9]+ (second|minute)s? ago)\b`), "AGE"},
	{regexp.MustCompile(`\b[0-9.]+m?s$`), "TIME"},
	{regexp.MustCompile(`\bprocess [0-9]+\b`), "process PID"},
	{regexp.MustCompile(` +`), " "},
}

// typical replaces what varies in a line, and how far its columns are apart.
func typical(line string) string {
	for _, v := range varying {
		line = v.ReplaceAllString(line, v.typical)
	}
	return strings.TrimRight(line, " ")
}
