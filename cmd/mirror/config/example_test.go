package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"airmirror/cmd/mirror/config/settings"
	"airmirror/deploy"
)

// inExample is a setting in deploy/mirror.yaml.
type inExample struct {
	value *yaml.Node
	line  int
	mark  string // the comment behind it
}

// isExample reports whether the value is an example instead of the default.
func (e inExample) isExample() bool { return e.mark == "# "+exampleMark }

// exampleSettings reads deploy/mirror.yaml with all settings uncommented.
func exampleSettings(t *testing.T) (lines []string, shown map[string]inExample) {
	t.Helper()
	text := uncommented()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("deploy/mirror.yaml, uncommented: %v", err)
	}
	shown = map[string]inExample{}
	c := Default()
	readSection(t, settings.Keys(&c), doc.Content[0], "", shown)
	return strings.Split(text, "\n"), shown
}

func readSection(t *testing.T, keys []settings.Key, section *yaml.Node, path string, shown map[string]inExample) {
	t.Helper()
	for i := 0; i+1 < len(section.Content); i += 2 {
		name, value := section.Content[i], section.Content[i+1]
		sub := strings.TrimPrefix(path+"."+name.Value, ".")
		isKey, isSection := false, false
		for _, key := range keys {
			isKey = isKey || key.Path == sub
			isSection = isSection || strings.HasPrefix(key.Path, sub+".")
		}
		switch {
		case isKey:
			mark := name.LineComment + value.LineComment
			shown[sub] = inExample{value, name.Line, mark}
		case isSection:
			readSection(t, keys, value, sub, shown)
		default:
			t.Errorf("deploy/mirror.yaml:%d: unknown key %s: remove it", name.Line, sub)
		}
	}
}

func TestExampleHasEverySettingAtItsDefault(t *testing.T) {
	lines, shown := exampleSettings(t)
	given, filled := Default(), Default()
	for _, key := range settings.Keys(&given) {
		e, ok := shown[key.Path]
		switch {
		case !ok:
			t.Errorf("deploy/mirror.yaml lacks the key %s: %s", key.Path, howToAdd(key))
			continue
		case !strings.HasPrefix(strings.TrimSpace(lines[e.line-2]), "# "):
			t.Errorf("deploy/mirror.yaml:%d: no line above explains %s", e.line, key.Path)
		case e.value.Tag == "!!null":
			t.Errorf("deploy/mirror.yaml:%d: %s shows no value; the default is %s", e.line, key.Path, inYAML(key.Value()))
		}
		if e.isExample() {
			lacksElementKeys(t, e, reflect.TypeOf(key.Value()), key.Path)
			continue
		}
		if _, err := settings.Load(&filled, settings.Layers{File: "deploy/mirror.yaml", Text: []byte(documentOf(t, key.Path, e.value))}); err != nil {
			t.Errorf("deploy/mirror.yaml:%d: %v", e.line, err)
		}
	}
	after := settings.Keys(&filled)
	for i, key := range settings.Keys(&given) {
		if e := shown[key.Path]; e.line != 0 && !sameValue(key.Value(), after[i].Value()) {
			t.Errorf("deploy/mirror.yaml:%d: %s shows %s; the default is %s (write \"# example\" behind the key if the value is an example)",
				e.line, key.Path, inYAML(after[i].Value()), inYAML(key.Value()))
		}
	}
}

// TestExampleIsValid loads the file as it is, with all defaults uncommented, and with each example.
func TestExampleIsValid(t *testing.T) {
	_, shown := exampleSettings(t)
	all := "{}"
	texts := map[string]string{"as it is": deploy.Config}
	for path, e := range shown {
		if e.isExample() {
			texts[path] = documentOf(t, path, e.value)
			continue
		}
		all = merged(t, all, documentOf(t, path, e.value))
	}
	texts["every default"] = all
	for name, text := range texts {
		if _, err := loadConfig(t, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	if len(texts) < 4 || len(all) < 100 {
		t.Errorf("the example was not understood: %d texts, %q", len(texts), all)
	}
}

// howToAdd returns the text to add for a missing key.
func howToAdd(key settings.Key) string {
	name, section := key.Path, "at the top level"
	indent := ""
	if i := strings.LastIndex(name, "."); i >= 0 {
		section = "to the section " + name[:i]
		indent = strings.Repeat("  ", strings.Count(name, "."))
		name = name[i+1:]
	}
	value := inYAML(key.Value())
	if v := reflect.ValueOf(key.Value()); v.Kind() == reflect.Pointer && v.IsNil() {
		value = "VALUE # example"
	}
	return fmt.Sprintf("add %q %s, below a line that explains it", indent+"#"+name+": "+value, section)
}

// lacksElementKeys reports keys of list elements that the example does not have.
func lacksElementKeys(t *testing.T, e inExample, list reflect.Type, path string) {
	t.Helper()
	if !isListOfSections(list) {
		return
	}
	shown := map[string]bool{}
	addPaths(shown, e.value, path)
	for _, want := range elementPaths(list, path) {
		if !shown[want] {
			t.Errorf("deploy/mirror.yaml:%d: the example of %s lacks the key %s", e.line, path, want)
		}
	}
}

func isListOfSections(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct &&
		!reflect.PointerTo(t.Elem()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func elementPaths(list reflect.Type, path string) (all []string) {
	for _, key := range settings.Keys(reflect.New(list.Elem()).Interface()) {
		sub := path + "." + key.Path
		all = append(all, sub)
		if t := reflect.TypeOf(key.Value()); isListOfSections(t) {
			all = append(all, elementPaths(t, sub)...)
		}
	}
	return all
}

func addPaths(paths map[string]bool, node *yaml.Node, path string) {
	paths[path] = true
	switch node.Kind {
	case yaml.SequenceNode:
		for _, element := range node.Content {
			addPaths(paths, element, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			addPaths(paths, node.Content[i+1], path+"."+node.Content[i].Value)
		}
	}
}

// documentOf returns a configuration with one setting.
func documentOf(t *testing.T, path string, value *yaml.Node) string {
	t.Helper()
	var doc any = value
	parts := strings.Split(path, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		doc = map[string]any{parts[i]: doc}
	}
	text, err := yaml.Marshal(doc)
	must(t, err)
	return string(text)
}

// merged returns a configuration with the settings of two.
func merged(t *testing.T, a, b string) string {
	t.Helper()
	var into, from map[string]any
	must(t, yaml.Unmarshal([]byte(a), &into))
	must(t, yaml.Unmarshal([]byte(b), &from))
	var merge func(into, from map[string]any)
	merge = func(into, from map[string]any) {
		for key, value := range from {
			below, ok := into[key].(map[string]any)
			if section, isSection := value.(map[string]any); ok && isSection {
				merge(below, section)
				continue
			}
			into[key] = value
		}
	}
	merge(into, from)
	text, err := yaml.Marshal(into)
	must(t, err)
	return string(text)
}

func inYAML(value any) string {
	if v := reflect.ValueOf(value); (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		value = reflect.MakeSlice(reflect.TypeFor[[]string](), 0, 0).Interface()
		if v.Kind() == reflect.Map {
			value = map[string]string{}
		}
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(string(text))
}

// sameValue compares two settings. An empty list equals nil.
func sameValue(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := x.Kind(); (k == reflect.Slice || k == reflect.Map) && x.Len() == 0 && y.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}
