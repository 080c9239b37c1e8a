package ui

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
)

// TestLanguagesHaveTheSameTexts checks that each text exists in each language, with the same values.
func TestLanguagesHaveTheSameTexts(t *testing.T) {
	first, err := readTexts(languages[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range languages[1:] {
		other, err := readTexts(language)
		if err != nil {
			t.Fatal(err)
		}
		for key, text := range first {
			if translated, ok := other[key]; !ok || translated == "" {
				t.Errorf("%s lacks %s", language, key)
			} else if verbs(translated) != verbs(text) {
				t.Errorf("%s: the values of %q and %q differ", key, text, translated)
			}
		}
		for key := range other {
			if _, ok := first[key]; !ok {
				t.Errorf("%s lacks %s, which %s has", languages[0], key, language)
			}
		}
	}
}

var verb = regexp.MustCompile(`%(\[\d\])?[a-z]`)

// verbs returns the verbs of a text, without their order.
func verbs(text string) string {
	found := verb.FindAllString(text, -1)
	for i, v := range found {
		found[i] = v[len(v)-1:]
	}
	slices.Sort(found)
	return fmt.Sprint(found)
}

// TestTemplatesUseKnownTexts checks the keys that templates contain.
func TestTemplatesUseKnownTexts(t *testing.T) {
	known, err := readTexts(languages[0])
	if err != nil {
		t.Fatal(err)
	}
	l := &look{texts: known}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, file := range files {
		text, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		trees, err := parse.Parse(file, string(text), "", "", l.functions(), map[string]any{
			"or": 0, "and": 0, "not": 0, "eq": 0, "ne": 0, "gt": 0, "lt": 0, "ge": 0, "le": 0, "print": 0, "len": 0, "index": 0, "printf": 0, "slice": 0, "html": 0, "urlquery": 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tree := range trees {
			for function, keys := range literalKeys(tree.Root) {
				for _, key := range keys {
					used++
					checkKey(t, known, file, function, key)
				}
			}
		}
	}
	if used < 50 {
		t.Errorf("only %d keys were found in the templates", used)
	}
}

// TestTablesAreNoLandmarks checks that what scrolls is a group: a region is a landmark, which must not have the name of the section
// that it is in.
func TestTablesAreNoLandmarks(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if text, err := templateFiles.ReadFile(file); err != nil || strings.Contains(string(text), `role="region"`) {
			t.Errorf("%s has a region instead of a group, %v", file, err)
		}
	}
}

func checkKey(t *testing.T, known texts, file, function, key string) {
	t.Helper()
	for _, form := range map[string][]string{"t": {key}, "empty": {key}, "n": {key + ".one", key + ".other"}}[function] {
		if _, ok := known[form]; !ok {
			t.Errorf("%s uses the unknown text %s", file, form)
		}
	}
	if function != "code" {
		return
	}
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return
		}
	}
	t.Errorf("%s uses codes of %s, which has no texts", file, key)
}

// literalKeys returns the literal first arguments of functions for texts, by function, below a node.
func literalKeys(node parse.Node) map[string][]string {
	found := map[string][]string{}
	var walk func(parse.Node)
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, n := range l.Nodes {
				walk(n)
			}
		}
	}
	branch := func(b *parse.BranchNode) { walk(b.Pipe); list(b.List); list(b.ElseList) }
	walk = func(node parse.Node) {
		switch n := node.(type) {
		case *parse.ListNode:
			list(n)
		case *parse.ActionNode:
			walk(n.Pipe)
		case *parse.IfNode:
			branch(&n.BranchNode)
		case *parse.RangeNode:
			branch(&n.BranchNode)
		case *parse.WithNode:
			branch(&n.BranchNode)
		case *parse.TemplateNode:
			if n.Name == "empty" && n.Pipe != nil {
				if key, ok := n.Pipe.Cmds[0].Args[0].(*parse.StringNode); ok {
					found["empty"] = append(found["empty"], key.Text)
				}
			}
			if n.Pipe != nil {
				walk(n.Pipe)
			}
		case *parse.PipeNode:
			for _, command := range n.Cmds {
				walk(command)
			}
		case *parse.CommandNode:
			if name, ok := n.Args[0].(*parse.IdentifierNode); ok && len(n.Args) > 1 {
				if key, ok := n.Args[1].(*parse.StringNode); ok {
					found[name.Ident] = append(found[name.Ident], key.Text)
				}
			}
			for _, argument := range n.Args {
				walk(argument)
			}
		}
	}
	walk(node)
	return found
}

// TestTemplatesAreParsedWhenFirstUsed keeps the start of a mirror short: parsing all templates takes longer than the rest of it.
func TestTemplatesAreParsedWhenFirstUsed(t *testing.T) {
	if n := testing.AllocsPerRun(1, func() { newLooks() }); n > 100 {
		t.Errorf("the console makes %v allocations before anybody opens it", n)
	}
}
