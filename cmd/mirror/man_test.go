package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config"
)

// docsFolder is where TestManPages and TestCompletionScripts write what packages contain: make docs.
var docsFolder = flag.String("docs", "", "write the man pages and completions to this `folder`")

// TestManPages generates a man page for each command. They are made by a test so that the binary contains nothing for them, and
// not by a library, as those read the texts as Markdown, where patterns such as team/*:v1.* are emphasis.
func TestManPages(t *testing.T) {
	pages := 0
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		pages++
		text, name := manPage(cmd), strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		for _, want := range []string{".SH NAME\n" + name + ` \- `, ".SH SYNOPSIS\n", ".SH EXAMPLES\n.nf\n", `\-\-help`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s.1 lacks %q:\n%s", name, want, text)
			}
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(".TH .SH .PP .TP .nf .fi .BR", strings.Fields(line)[0]) {
				t.Errorf("%s.1 has a line that troff reads as a request: %s", name, line)
			}
		}
		writeDocs(t, filepath.Join("man", name+".1"), text)
	})
	if pages < 30 {
		t.Errorf("only %d pages", pages)
	}
}

// TestCompletionScripts generates the script of each shell.
func TestCompletionScripts(t *testing.T) {
	for shell, file := range map[string]string{"bash": "mirror.bash", "zsh": "_mirror", "fish": "mirror.fish", "powershell": "mirror.ps1"} {
		var out strings.Builder
		root := newRootCommand("completion")
		root.SetOut(&out)
		root.SetArgs([]string{"completion", shell})
		must(t, root.Execute())
		if !strings.Contains(out.String(), cobra.ShellCompRequestCmd) {
			t.Errorf("the script for %s requests no completions:\n%s", shell, &out)
		}
		writeDocs(t, filepath.Join("completions", file), out.String())
	}
}

// writeDocs writes a file with the flag -docs.
func writeDocs(t *testing.T, name, text string) {
	t.Helper()
	if *docsFolder == "" {
		return
	}
	path := filepath.Join(*docsFolder, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// manPage returns the man page of a command.
func manPage(cmd *cobra.Command) string {
	config.Describe(cmd.Flags())
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"mirror\" \"Mirror Manual\"\n", strings.ToUpper(name))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", name, roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(usageOf(cmd)))
	description := cmd.Long
	if description == "" {
		description = cmd.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", paragraphs(description))
	own, common := flagsOf(cmd)
	manFlags(&b, ".SH OPTIONS\n", own)
	manFlags(&b, ".SH SETTINGS\n"+roff(cmd.Annotations[settingsFlag])+"\n", common)
	fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	var others []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			others = append(others, fmt.Sprintf(".BR %s (1)", roff(name+"-"+sub.Name())))
		}
	}
	if cmd.HasParent() {
		others = append(others, fmt.Sprintf(".BR %s (1)", roff(strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-"))))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(others, "\n"))
	return b.String()
}

// manFlags writes a list of flags below a title, if there are flags.
func manFlags(b *strings.Builder, title string, flags []*pflag.Flag) {
	if len(flags) == 0 {
		return
	}
	b.WriteString(title)
	for _, f := range flags {
		fmt.Fprintf(b, ".TP\n%s\n%s\n", roff(strings.TrimSpace(flagName(f))), roff(flagText(f)))
	}
}

// paragraphs returns a text with a request between its paragraphs. Lists keep their lines.
func paragraphs(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(part, " ") {
			parts = append(parts, ".nf\n"+roff(part)+"\n.fi")
			continue
		}
		parts = append(parts, roff(part))
	}
	return strings.Join(parts, "\n.PP\n")
}

// roff escapes a text for troff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "…", "...").Replace(strings.Trim(text, "\n"))
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
