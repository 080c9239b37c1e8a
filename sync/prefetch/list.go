package prefetch

import (
	"fmt"
	"io"
	"strings"

	"airmirror/mirror"
)

// maxList is how large a list may be.
const maxList = 16 << 20

// ParseList reads names of images, each once and in order. It takes two kinds of text, and the first line that is
// neither empty nor a comment tells which it is:
//
//   - A list: one image a line. What follows a # at the beginning of a line, or after a space, is a comment.
//   - YAML or JSON as Kubernetes has it, of one or more documents: every string under a key "image", at any depth; the
//     reference of a volume that is an image, the images of a kustomization, and a list of strings. Such
//     a line begins a document or a list, or is a key and its value.
//
// Names are not checked: that is for [Run], which reports what it cannot use and goes on. A template that was not
// filled in comes out as it stands, for Run to report. With an error there may be names: all that could be read.
func ParseList(r io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err != nil {
		return nil, fmt.Errorf("read list of images: %w", err)
	}
	if len(text) > maxList {
		return nil, fmt.Errorf("list of images is larger than %d MiB", maxList>>20)
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

// list gathers names.
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

// lines yields the lines of text without comments and the space around them, if something is left.
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
