package prefetch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	// yamlStart matches lines of YAML or JSON that cannot name an image.
	yamlStart = regexp.MustCompile(`^(?:---|%YAML|[{\[]|-\s|-$|[^\s:][^:]*:(?:\s|$))`)
	// yamlBreak matches the line between two documents.
	yamlBreak = regexp.MustCompile(`(?m)^---(?:[ \t].*)?$`)
	// imageLine matches a line with an image in a text that is not valid YAML.
	imageLine = regexp.MustCompile(`^(?:-\s+)*["']?image["']?\s*:\s+(.+)$`)
)

func isYAML(text []byte) bool {
	for line := range lines(text) {
		return yamlStart.MatchString(line)
	}
	return false
}

// yaml reads all documents of text. Its error names those that cannot be parsed.
func (l *list) yaml(text []byte) error {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	var failed []error
	for line := 1; len(text) > 0; {
		doc := text
		if next := yamlBreak.FindIndex(text[1:]); next != nil {
			doc = text[:next[0]+1]
		}
		if err := l.document(doc); err != nil {
			failed = append(failed, fmt.Errorf("YAML document that begins at line %d: %w", line, err))
		}
		line += bytes.Count(doc, []byte("\n"))
		text = text[len(doc):]
	}
	return errors.Join(failed...)
}

// document reads one document. A template that was not rendered is rarely valid YAML: it is read line by line.
func (l *list) document(doc []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		switch {
		case err == io.EOF:
			return nil
		case err != nil && bytes.Contains(doc, []byte("{{")):
			for line := range lines(doc) {
				if found := imageLine.FindStringSubmatch(line); found != nil {
					l.add(unquote(found[1]))
				}
			}
			return nil
		case err != nil:
			return err
		}
		l.strings(&root)
		l.node(&root, doc)
	}
}

// strings adds the names of a document that is a list of strings.
func (l *list) strings(root *yaml.Node) {
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.SequenceNode {
		return
	}
	for _, item := range root.Content[0].Content {
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!str" {
			l.add(item.Value)
		}
	}
}

// kustomized adds the images of a kustomization: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
func (l *list) kustomized(value *yaml.Node) {
	for _, item := range value.Content {
		var image struct{ Name, NewName, NewTag, Digest string }
		fields := map[string]*string{"name": &image.Name, "newName": &image.NewName, "newTag": &image.NewTag, "digest": &image.Digest}
		for i := 0; i+1 < len(item.Content) && item.Kind == yaml.MappingNode; i += 2 {
			if field := fields[item.Content[i].Value]; field != nil && item.Content[i+1].Kind == yaml.ScalarNode {
				*field = item.Content[i+1].Value
			}
		}
		name := cmp.Or(image.NewName, image.Name)
		if name == "" || image.NewTag+image.Digest == "" {
			continue
		}
		if image.NewTag != "" {
			name += ":" + image.NewTag
		}
		if image.Digest != "" {
			name += "@" + image.Digest
		}
		l.add(name)
	}
}

// node walks a node of doc. The target of an alias is walked at its anchor, except for a string: the key of the alias may
// make it an image.
func (l *list) node(node *yaml.Node, doc []byte) {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "image" {
			l.image(child, doc)
		}
		if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "images" && child.Kind == yaml.SequenceNode {
			l.kustomized(child)
		}
		l.node(child, doc)
	}
}

func (l *list) image(value *yaml.Node, doc []byte) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str":
		l.add(value.Value)
	case value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Content[0].Kind == yaml.MappingNode:
		// {{ .Values.image }} is parsed as a map with a map as its key.
		if source := bytes.Split(doc, []byte("\n")); value.Line <= len(source) {
			line := source[value.Line-1]
			l.add(string(line[min(len(line), value.Column-1):]))
		}
	case value.Kind == yaml.MappingNode: // an image volume
		for i := 0; i+1 < len(value.Content); i += 2 {
			if at := value.Content[i+1]; value.Content[i].Value == "reference" && at.Kind == yaml.ScalarNode && at.ShortTag() == "!!str" {
				l.add(at.Value)
			}
		}
	}
}

// unquote removes the quotes around s.
func unquote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && strings.HasSuffix(s, s[:1]) {
		return s[1 : len(s)-1]
	}
	return s
}
