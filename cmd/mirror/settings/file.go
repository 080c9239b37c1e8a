package settings

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file fills values from YAML.
type file struct {
	name    string
	origins Origins
}

// at says where a node is.
func (f file) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", f.name, node.Line) }

// fail names the place and the key of what is wrong; a value that is no file's has neither.
func (f file) fail(node *yaml.Node, path string, err error) error {
	if f.name == "" {
		return err
	}
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("%s: %s%w", f.at(node), path, err)
}

// fill reads node into v.
func (f file) fill(node *yaml.Node, v reflect.Value, path string) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	t := v.Type()
	switch {
	case node.Tag == "!!null" && node.Kind == yaml.ScalarNode && !isText(t) && t.Kind() != reflect.String: // a key with nothing behind it
		return nil
	case isSection(t):
		return f.fillSection(node, v, path)
	case t.Kind() == reflect.Slice && isSection(t.Elem()):
		return f.fillList(node, v, path)
	}
	if err := node.Decode(v.Addr().Interface()); err != nil {
		err = plain(t, err)
		if node.Kind == yaml.ScalarNode && f.name != "" { // elsewhere it is told with the name of the variable or flag
			err = fmt.Errorf("%q: %w", node.Value, err)
		}
		return f.fail(node, path, err)
	}
	return nil
}

func (f file) fillSection(node *yaml.Node, v reflect.Value, path string) error {
	if node.Kind != yaml.MappingNode {
		return f.fail(node, path, errors.New("want keys and values here"))
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			if err := f.fill(value, v, path); err != nil {
				return err
			}
			continue
		}
		field, ok := lookup(v, key.Value)
		if !ok {
			return f.fail(key, path, unknown(v, key.Value))
		}
		if seen[key.Value] {
			return f.fail(key, path, fmt.Errorf("%s is there twice", key.Value))
		}
		seen[key.Value] = true
		sub := join(path, key.Value)
		if err := f.fill(value, field, sub); err != nil {
			return err
		}
		if !isSection(field.Type()) {
			f.origins[sub] = f.at(key)
		}
	}
	return nil
}

func (f file) fillList(node *yaml.Node, v reflect.Value, path string) error {
	if node.Kind != yaml.SequenceNode {
		return f.fail(node, path, errors.New("want a list here"))
	}
	list := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		inner := file{name: f.name, origins: Origins{}} // elements have no origins of their own
		if err := inner.fill(item, list.Index(i), path); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// lookup finds the field of a section by its name in YAML.
func lookup(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		switch called, inline := yamlName(v.Type().Field(i)); {
		case inline:
			if field, ok := lookup(v.Field(i), name); ok {
				return field, true
			}
		case called != "" && called == name:
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func names(v reflect.Value) (all []string) {
	for i := range v.NumField() {
		switch called, inline := yamlName(v.Type().Field(i)); {
		case inline:
			all = append(all, names(v.Field(i))...)
		case called != "":
			all = append(all, called)
		}
	}
	return all
}

// unknown says that a section has no such key, and what may have been meant.
func unknown(v reflect.Value, name string) error {
	known := names(v)
	if nearest, ok := Nearest(name, known); ok {
		return fmt.Errorf("there is no key %s here: is it %s?", name, nearest)
	}
	return fmt.Errorf("there is no key %s here: there are %s", name, strings.Join(known, ", "))
}

// Nearest returns the word that name is probably a misspelling of.
func Nearest(name string, words []string) (nearest string, ok bool) {
	if len(words) == 0 {
		return "", false
	}
	lower := strings.ToLower(name)
	nearest = slices.MinFunc(words, func(a, b string) int {
		return distance(lower, strings.ToLower(a)) - distance(lower, strings.ToLower(b))
	})
	return nearest, distance(lower, strings.ToLower(nearest)) <= min(2, (len(name)+1)/2) // of a letter or two, all are near
}

// distance is how many bytes have to be inserted, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// plain says what a value should be, where YAML says how Go would hold it.
func plain(t reflect.Type, err error) error {
	if wrong := (*yaml.TypeError)(nil); !errors.As(err, &wrong) {
		return err
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	want := "another kind of value"
	switch t.Kind() {
	case reflect.Bool:
		want = "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint:
		want = "a number"
	case reflect.String:
		want = "a text"
	case reflect.Slice:
		want = "a list"
	}
	return errors.New("want " + want)
}
