// Package imagelist reads the names of images from files that people already have: lists of images, Kubernetes YAML,
// Helm charts, docker compose files, and the manifests of hauler, zarf, oc-mirror, regsync and skopeo sync.
//
// A file is recognized by its content, never by its name. What was recognized is returned as [List.Formats]. Parts of a
// file that name images which the mirror cannot fetch from them are returned as [List.Unread], each with the reason.
//
// # Limits
//
// A file has at most 16 MiB. The parser of YAML limits the nesting and refuses aliases that expand to many times the size
// of the file.
//
// The package opens no connection. A chart is rendered by an installed helm, without access to a cluster or a network:
// Helm's engine would add 29 MB to a binary of 20 MB, because it is linked with the client of Kubernetes.
package imagelist

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"airmirror/mirror"
)

// maxFile is the maximal size of a file in bytes.
const maxFile = 16 << 20

// List is what a file names.
type List struct {
	// Formats are the recognized formats, such as "a docker compose file", without duplicates. Documents of one file may
	// have different formats.
	Formats []string
	// Images are names of images, in order and without duplicates. They are not checked.
	Images []string
	// Selections are repositories of which the file selects tags.
	Selections []Selection
	// Charts are Helm charts that contain further images.
	Charts []Chart
	// Unread are parts of the file that were not read.
	Unread []Unread

	seen map[string]bool // the names in Images
}

// Selection selects tags of a repository.
type Selection struct {
	// Repository is a name such as quay.io/org/app, without a tag.
	Repository string
	// Matches reports whether a tag is selected.
	Matches func(tag string) bool
}

// Chart is a Helm chart that a file names.
type Chart struct {
	// Source is a path relative to the folder of the file, or a reference such as oci://ghcr.io/org/app:1.2.
	Source string
	// Values are files of values, with paths relative to the folder of the file.
	Values []string
}

// Unread is a part of a file that was not read.
type Unread struct {
	// Part names the part, such as "mirror.operators[0]".
	Part string
	// Reason says why it was not read, and what to do instead.
	Reason string
	// Missing says that images are missing for this reason. Otherwise, the part names no images.
	Missing bool
}

// Options are the surroundings of a file. The zero value is valid.
type Options struct {
	// Variable returns the value of a variable in a docker compose file, and whether it is set. Nil sets none.
	Variable func(name string) (value string, set bool)
}

// Parse reads a file. A text is YAML or JSON if its first line that is neither empty nor a comment begins a document or a
// list, or is a key and its value. Every other text has one image a line, where a comment begins with # at the beginning
// of a line or after a space.
//
// Parse does not check the names: a template that was not rendered is returned unchanged. It may return an error together
// with the names that it could read.
func Parse(r io.Reader, opts Options) (*List, error) {
	text, err := readAll(r)
	if err != nil {
		return nil, err
	}
	list := &List{}
	text = mirror.Text(text)
	if isYAML(text) {
		return list, list.yaml(text, opts)
	}
	list.recognized("a list of images")
	for line := range lines(text) {
		list.add(line)
	}
	return list, nil
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the list of images: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("the list of images is larger than %d MiB", maxFile>>20)
	}
	return text, nil
}

// Format returns the formats of the list in one text.
func (l *List) Format() string {
	return cmp.Or(strings.Join(l.Formats, " and "), "YAML")
}

// Append adds what other names, without its formats.
func (l *List) Append(other *List) {
	for _, name := range other.Images {
		l.add(name)
	}
	l.Selections = append(l.Selections, other.Selections...)
	l.Charts = append(l.Charts, other.Charts...)
	l.Unread = append(l.Unread, other.Unread...)
}

func (l *List) recognized(format string) {
	if !slices.Contains(l.Formats, format) {
		l.Formats = append(l.Formats, format)
	}
}

// add adds the name of an image, unless it is empty or was added before.
func (l *List) add(name string) {
	name = strings.TrimSpace(name)
	if name == "" || l.seen[name] {
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	l.seen[name] = true
	l.Images = append(l.Images, name)
}

// missing adds a part of the file whose images are missing.
func (l *List) missing(part, format string, args ...any) {
	l.Unread = append(l.Unread, Unread{Part: part, Reason: fmt.Sprintf(format, args...), Missing: true})
}

// note adds a part of the file that names no images.
func (l *List) note(part, format string, args ...any) {
	l.Unread = append(l.Unread, Unread{Part: part, Reason: fmt.Sprintf(format, args...)})
}
