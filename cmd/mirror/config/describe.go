package config

import (
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"airmirror/deploy"
)

// commentedOut matches the # in front of a setting in the example file: no text follows it after exactly one space.
var commentedOut = regexp.MustCompile(`(?m)^( *)#(\S|  +\S)`)

// uncommented returns the example file with all settings set.
func uncommented() string { return commentedOut.ReplaceAllString(deploy.Config, "$1$2") }

// exampleMark is the comment behind a setting whose value in the example file is not its default.
const exampleMark = "example"

// descriptions returns the descriptions in the example file, by key. A key of a list element has the path of the list in
// front, such as upstreams.host.
var descriptions = sync.OnceValue(func() map[string]string {
	text := uncommented()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		panic("deploy/mirror.yaml: " + err.Error()) // the tests read it too
	}
	d := describer{lines: strings.Split(text, "\n"), texts: map[string]string{}}
	d.section(doc.Content[0], "")
	return d.texts
})

// describer collects descriptions by key.
type describer struct {
	lines []string
	texts map[string]string
}

func (d describer) section(node *yaml.Node, path string) {
	switch node.Kind {
	case yaml.SequenceNode:
		for _, element := range node.Content {
			d.section(element, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			sub := strings.TrimPrefix(path+"."+key.Value, ".")
			if d.texts[sub] == "" { // the first of several list elements
				d.texts[sub] = d.describe(key, value)
			}
			d.section(value, sub)
		}
	}
}

// describe returns the text above a key or, if there is none, the comment behind its value.
func (d describer) describe(key, value *yaml.Node) string {
	var above []string
	for line := key.Line - 2; line >= 0; line-- {
		text, ok := strings.CutPrefix(strings.TrimSpace(d.lines[line]), "# ")
		if !ok {
			break
		}
		above = append([]string{text}, above...)
	}
	if len(above) > 0 {
		return strings.Join(above, " ")
	}
	behind := strings.TrimPrefix(key.LineComment+value.LineComment, "# ")
	if behind == exampleMark {
		return ""
	}
	return behind
}
