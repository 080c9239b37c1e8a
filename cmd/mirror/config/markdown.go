package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"airmirror/cmd/mirror/config/settings"
)

// heading is the title of a part of the example file.
var heading = regexp.MustCompile(`^# -{4} ([^-]+) -+$`)

// Markdown returns the reference of all settings: for each its key, flag, variable, default and description, in the order
// and under the headings of the example file. A setting that is a list of objects is shown with its example.
func Markdown() string {
	r := reference{lines: strings.Split(uncommented(), "\n"), nodes: map[string]pair{}}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Join(r.lines, "\n")), &doc); err != nil {
		panic("deploy/mirror.yaml: " + err.Error()) // the tests read it too
	}
	r.index(doc.Content[0], "")
	all := slices.DeleteFunc(Keys(), func(key settings.Key) bool { return r.nodes[key.Path].key == nil })
	slices.SortStableFunc(all, func(a, b settings.Key) int {
		return cmp.Compare(r.nodes[a.Path].key.Line, r.nodes[b.Path].key.Line)
	})
	for _, key := range all {
		r.setting(key)
	}
	return r.String()
}

// pair is a key of the example file with its value.
type pair struct{ key, value *yaml.Node }

type reference struct {
	strings.Builder
	lines []string
	nodes map[string]pair // by the path of the key
	part  string
}

// index records the nodes of a section by their paths.
func (r *reference) index(section *yaml.Node, path string) {
	for i := 0; i+1 < len(section.Content); i += 2 {
		p := pair{section.Content[i], section.Content[i+1]}
		sub := strings.TrimPrefix(path+"."+p.key.Value, ".")
		r.nodes[sub] = p
		if p.value.Kind == yaml.MappingNode {
			r.index(p.value, sub)
		}
	}
}

func (r *reference) setting(key settings.Key) {
	node := r.nodes[key.Path]
	if part := r.partOf(node.key.Line); part != r.part {
		fmt.Fprintf(r, "\n## %s\n", part)
		r.part = part
	}
	names := []string{"`" + key.Env + "`"}
	if key.HasFlag {
		names = append(names, "`--"+key.Flag+"`")
	}
	fmt.Fprintf(r, "\n### `%s`\n\n", key.Path)
	fmt.Fprintf(r, "%s. Default: %s\n", strings.Join(names, ", "), defaultOf(key))
	if text := descriptions()[key.Path]; text != "" {
		fmt.Fprintf(r, "\n%s\n", strings.ReplaceAll(escape(text), "`", ""))
	}
	if v := node.value; v.Kind == yaml.SequenceNode && len(v.Content) > 0 && v.Content[0].Kind == yaml.MappingNode {
		r.example(key.Path)
	}
}

// escape keeps Markdown from reading patterns as emphasis.
func escape(text string) string { return strings.NewReplacer("*", `\*`, "<", "&lt;").Replace(text) }

// defaultOf returns the default of a setting as the file has it.
func defaultOf(key settings.Key) string {
	text, err := yaml.Marshal(key.Value())
	value := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		panic(key.Path + ": " + err.Error())
	case value == `""` || value == "[]" || value == "{}" || value == "null":
		return "none."
	}
	return "`" + strings.Trim(value, `"`) + "`."
}

// partOf returns the last heading above a line of the example file.
func (r *reference) partOf(line int) string {
	for ; line > 0; line-- {
		if match := heading.FindStringSubmatch(r.lines[line-1]); match != nil {
			return match[1]
		}
	}
	return "Other"
}

// example writes the lines of the example file that belong to a setting.
func (r *reference) example(path string) {
	r.WriteString("\n```yaml\n# mirror.yaml\n")
	if section, _, nested := strings.Cut(path, "."); nested {
		r.WriteString(section + ":\n")
	}
	node := r.nodes[path]
	for _, line := range r.lines[node.key.Line-1 : lastLine(node.value)] {
		r.WriteString(strings.TrimSuffix(line, " # "+exampleMark) + "\n")
	}
	r.WriteString("```\n")
}

// lastLine returns the last line of a node.
func lastLine(node *yaml.Node) int {
	last := node.Line
	for _, child := range node.Content {
		last = max(last, lastLine(child))
	}
	return last
}
