package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages returns the paths of the documentation.
func pages(t *testing.T) (all []string) {
	t.Helper()
	const project = "../../"
	for _, pattern := range []string{"README*.md", "deploy/*.md", "deploy/*/*.md", "deploy/docs/*/*.md"} {
		some, err := filepath.Glob(project + pattern)
		must(t, err)
		all = append(all, some...)
	}
	if len(all) < 20 {
		t.Fatalf("found %d pages: %v", len(all), all)
	}
	return all
}

// TestPagesNameCommandsThatExist checks every 'mirror …' in the documentation, in a line of a block or in a text, and every
// flag that a text names: the command exists and has the flags.
func TestPagesNameCommandsThatExist(t *testing.T) {
	commands := 0
	for _, path := range pages(t) {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, words := range commandsIn(string(text)) {
			commands++
			if problem := checkCommand(words); problem != "" {
				t.Errorf("%s: mirror %s: %s", path, strings.Join(words, " "), problem)
			}
		}
		for _, match := range regexp.MustCompile("`--([a-z-]+)[^`]*`").FindAllStringSubmatch(string(text), -1) {
			if !isFlagOfAny(match[1]) && !slices.Contains(flagsOfOthers, match[1]) {
				t.Errorf("%s: no command has a flag --%s", path, match[1])
			}
		}
	}
	if commands < 150 {
		t.Errorf("found only %d commands", commands)
	}
}

// flagsOfOthers are flags of other programs in the texts.
var flagsOfOthers = []string{"ca", "cap-drop", "hosts-dir", "rawfile", "read-only", "set", "shutdown-timeout"}

// invocation matches the program at the beginning of a command, after what runs it.
var invocation = regexp.MustCompile(`(?:^|[|&;({] *|sudo |[A-Z_]+=\S+ |exec (?:-i )?mirror |mirror-0 -- |ssh inside )mirror ([^|;&\n)]+)`)

// commandsIn returns the words behind each 'mirror' in the blocks and the code of a page.
func commandsIn(page string) (all [][]string) {
	var code []string
	block := regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
	for _, match := range block.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(match[1]) {
			command, isCommand := strings.CutPrefix(line, "$ ")
			if isCommand || !strings.Contains(match[1], "$ ") {
				code = append(code, command)
			}
		}
	}
	outside := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(page, "")
	for _, match := range regexp.MustCompile("(?s)`([^`]+)`").FindAllStringSubmatch(outside, -1) {
		code = append(code, strings.ReplaceAll(match[1], "\n", " "))
	}
	for _, line := range code {
		line, _, _ = strings.Cut(strings.ReplaceAll(line, `\|`, "|"), " #")
		for _, match := range invocation.FindAllStringSubmatch(line, -1) {
			all = append(all, shellWords(match[1]))
		}
	}
	return all
}

// shellWords splits a command into words, without quotes, redirections and dots that stand for more.
func shellWords(command string) (words []string) {
	for _, word := range regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`).FindAllString(command, -1) {
		if strings.ContainsAny(word[:1], "<>") {
			break
		}
		if word != "…" {
			words = append(words, strings.Trim(word, `'"`))
		}
	}
	return words
}

// checkCommand returns why words are no command with its flags; "" if they are.
func checkCommand(words []string) string {
	root := newRootCommand(words...)
	names := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "-") })
	cmd, _, err := root.Find(names)
	switch {
	case len(names) > 0 && names[0] == "COMMAND":
		return ""
	case err != nil:
		return err.Error()
	case cmd == root && len(names) > 0:
		return "there is no such command"
	}
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if strings.HasPrefix(word, "--") && name != "help" && name != "version" && flagOf(cmd, name) == nil {
			return "it has no flag " + word
		}
	}
	return ""
}

func flagOf(cmd *cobra.Command, name string) *pflag.Flag {
	if flag := cmd.Flags().Lookup(name); flag != nil {
		return flag
	}
	return cmd.InheritedFlags().Lookup(name)
}

func isFlagOfAny(name string) (found bool) {
	eachCommand(newRootCommand(), func(cmd *cobra.Command) { found = found || flagOf(cmd, name) != nil })
	return found
}
