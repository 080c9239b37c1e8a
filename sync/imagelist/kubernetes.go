package imagelist

import (
	"bytes"
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kubernetes is the format of objects of Kubernetes, also as kustomize and helm print them. Names are the strings under a
// key "image" at any depth, the references of image volumes, and the images of a kustomization.
const kubernetes = "Kubernetes YAML"

// built names the parts of a kustomization that only its build reads.
func (l *List) built(doc document) {
	if doc.scalar("kind") != "Kustomization" {
		return
	}
	for _, key := range []string{"resources", "bases", "components", "helmCharts", "generators"} {
		if value := get(doc.root, key); value != nil && len(value.Content) > 0 {
			l.missing(key, "a kustomization is read after its build: kustomize build FOLDER | mirror sync --file -")
		}
	}
}

// strings adds the names of a document that is a list of strings.
func (l *List) strings(root *yaml.Node) {
	if root.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range root.Content {
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!str" {
			l.add(item.Value)
		}
	}
}

// kustomized adds the images of a kustomization: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
func (l *List) kustomized(value *yaml.Node) {
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
func (l *List) node(node *yaml.Node, doc []byte) {
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

func (l *List) image(value *yaml.Node, doc []byte) {
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
