package prefetch

import (
	"fmt"
	"io"
	"strings"

	"airmirror/mirror"
)

// maxList is the maximal size of a list in bytes.
const maxList = 16 << 20

// ParseList returns the names of images in a text, in order and without duplicates. The text has one of two formats; the
// first line that is neither empty nor a comment decides:
//
//   - A list with one image a line. A comment begins with # at the beginning of a line or after a space.
//   - One or more documents of YAML or JSON, such as Kubernetes manifests. The names are the strings under a key "image" at
//     any depth, the references of image volumes, the images of a kustomization, and lists of strings. The deciding line
//     begins a document or a list, or is a key and its value.
//
// ParseList does not check the names: [Run] reports invalid ones and continues. A template that was not rendered is
// returned unchanged, and Run reports it. ParseList may return an error together with the names that it could read.
func ParseList(r io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("reading the list of images: %w", err)
	}
	if len(text) > maxList {
		return nil, fmt.Errorf("the list of images is larger than %d MiB", maxList>>20)
	}
	text = mirror.Text(text)
	var list list
	if isYAML(text) {
		err := list.yaml(text)
		return list.names, err
	}
	for line := range lines(text) {
		list.add(line)
	}
	return list.names, nil
}

// list collects names.
type list struct {
	names []string
	seen  map[string]bool
}

func (l *list) add(name string) {
	name = strings.TrimSpace(name)
	if name == "" || l.seen[name] {
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	l.seen[name] = true
	l.names = append(l.names, name)
}

// lines yields the lines of text that are not empty, without comments and surrounding space.
func lines(text []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(string(text)) {
			if i := commentStart(line); i >= 0 {
				line = line[:i]
			}
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}

func commentStart(line string) int {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return -1
}
