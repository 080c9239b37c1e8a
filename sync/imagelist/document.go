package imagelist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"
)

var (
	// yamlStart matches lines of YAML or JSON that cannot name an image.
	yamlStart = regexp.MustCompile(`^(?:---|%YAML|[{\[]|-\s|-$|[^\s:][^:]*:(?:\s|$)|\S+:$)`)
	// yamlBreak matches the line between two documents.
	yamlBreak = regexp.MustCompile(`(?m)^---(?:[ \t].*)?$`)
	// imageLine matches a line with an image in a text that is not valid YAML.
	imageLine = regexp.MustCompile(`^(?:-\s+)*["']?image["']?\s*:\s+(.+)$`)
)

// format is a format of YAML documents.
type format struct {
	name string
	// matches reports whether a document has the format.
	matches func(doc document) bool
	// read adds what the document names. It returns an error if the document is not valid in this format.
	read func(l *List, doc document, opts Options) error
}

// formats are tried in this order. Every other document is read as Kubernetes YAML.
var formats = []format{
	{"a hauler manifest", isHauler, readHauler},
	{"a zarf package", isZarf, readZarf},
	{"an ImageSetConfiguration of oc-mirror", isImageSet, readImageSet},
	{"a docker compose file", isCompose, readCompose},
	{"a regsync file", isRegsync, readRegsync},
	{"a file of skopeo sync", isSkopeo, readSkopeo},
}

// document is a YAML document.
type document struct {
	root *yaml.Node // the value of the document, which is not an alias
	text []byte     // its text and that of the documents beside it, up to lines with ---
}

// get returns the value of a key of a mapping, or nil.
func get(node *yaml.Node, key string) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// scalar returns the value of a key of a mapping as a text.
func (d document) scalar(key string) string {
	if value := get(d.root, key); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}

func isYAML(text []byte) bool {
	for line := range lines(text) {
		return yamlStart.MatchString(line)
	}
	return false
}

// yaml reads all documents of text. Its error names those that cannot be parsed.
func (l *List) yaml(text []byte, opts Options) error {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	var failed []error
	for line := 1; len(text) > 0; {
		doc := text
		if next := yamlBreak.FindIndex(text[1:]); next != nil {
			doc = text[:next[0]+1]
		}
		if err := l.documents(doc, opts); err != nil {
			failed = append(failed, fmt.Errorf("YAML document that begins at line %d: %w", line, err))
		}
		line += bytes.Count(doc, []byte("\n"))
		text = text[len(doc):]
	}
	return errors.Join(failed...)
}

// documents reads a text between two lines of ---. A template that was not rendered is rarely valid YAML: it is read line
// by line.
func (l *List) documents(text []byte, opts Options) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		switch {
		case err == io.EOF:
			return nil
		case err != nil && bytes.Contains(text, []byte("{{")):
			l.recognized(kubernetes)
			for line := range lines(text) {
				if found := imageLine.FindStringSubmatch(line); found != nil {
					l.add(unquote(found[1]))
				}
			}
			return nil
		case err != nil:
			return err
		}
		if len(root.Content) == 1 {
			if err := l.document(document{root.Content[0], text}, opts); err != nil {
				return err
			}
		}
	}
}

func (l *List) document(doc document, opts Options) error {
	for _, f := range formats {
		if f.matches(doc) {
			l.recognized(f.name)
			if err := f.read(l, doc, opts); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			return nil
		}
	}
	if doc.root.Kind == yaml.SequenceNode && len(doc.root.Content) > 0 && doc.root.Content[0].Kind == yaml.ScalarNode {
		l.recognized("a list of images")
	} else if doc.root.Kind != yaml.ScalarNode {
		l.recognized(kubernetes)
	}
	l.strings(doc.root)
	l.built(doc)
	l.node(doc.root, doc.text)
	return nil
}
