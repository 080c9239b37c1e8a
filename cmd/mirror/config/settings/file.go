package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file fills values from YAML.
type file struct {
	name    string // "" for the value of a variable or a flag
	origins Origins
}

// at returns the position of a node.
func (f file) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", f.name, node.Line) }

// fail prefixes an error with the position and the key. The value of a variable or a flag has neither.
func (f file) fail(node *yaml.Node, path string, err error) error {
	if f.name == "" {
		return err
	}
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("%s: %s%w", f.at(node), path, err)
}

// fill decodes node into v.
func (f file) fill(node *yaml.Node, v reflect.Value, path string) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	t := v.Type()
	switch {
	case node.Tag == "!!null" && node.Kind == yaml.ScalarNode && !IsText(t) && t.Kind() != reflect.String: // a key without a value
		return nil
	case isSection(t):
		return f.fillSection(node, v, path)
	case t.Kind() == reflect.Slice && isSection(t.Elem()):
		return f.fillList(node, v, path)
	}
	if err := node.Decode(v.Addr().Interface()); err != nil {
		err = wantedType(t, err)
		if node.Kind == yaml.ScalarNode && f.name != "" { // Load adds the value of a variable or a flag
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
	var errs []error
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			errs = append(errs, f.fill(value, v, path))
			continue
		}
		if seen[key.Value] {
			errs = append(errs, f.fail(key, path, fmt.Errorf("%s is set twice", key.Value)))
			continue
		}
		seen[key.Value] = true
		errs = append(errs, f.fillKey(key, value, v, path))
	}
	return errors.Join(errs...)
}

// fillKey decodes the value of one key of a section.
func (f file) fillKey(key, value *yaml.Node, v reflect.Value, path string) error {
	field, ok := lookup(v, key.Value)
	if !ok {
		return f.fail(key, path, unknown(v, key.Value))
	}
	sub := join(path, key.Value)
	if err := f.fill(value, field, sub); err != nil {
		return err
	}
	if !isSection(field.Type()) {
		f.origins[sub] = f.at(key)
	}
	return nil
}

func (f file) fillList(node *yaml.Node, v reflect.Value, path string) error {
	if node.Kind != yaml.SequenceNode {
		return f.fail(node, path, errors.New("want a list here"))
	}
	var errs []error
	list := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		inner := file{name: f.name, origins: Origins{}} // the keys of elements have no origins
		errs = append(errs, inner.fill(item, list.Index(i), path))
	}
	v.Set(list)
	return errors.Join(errs...)
}

// lookup returns the field of a section with the given name in YAML.
func lookup(v reflect.Value, name string) (reflect.Value, bool) {
	for _, field := range Fields(v) {
		if field.Name == name {
			return field.Value, true
		}
	}
	return reflect.Value{}, false
}

// unknown returns the error for a key that a section does not have. It names the nearest key or all keys.
func unknown(v reflect.Value, name string) error {
	var known []string
	for _, field := range Fields(v) {
		known = append(known, field.Name)
	}
	if nearest, ok := Nearest(name, known); ok {
		return fmt.Errorf("unknown key %s: did you mean %s?", name, nearest)
	}
	return fmt.Errorf("unknown key %s: want one of %s", name, strings.Join(known, ", "))
}

// wantedType replaces an error of the YAML library, which names a Go type, by one that names what the key takes.
func wantedType(t reflect.Type, err error) error {
	if typeError := (*yaml.TypeError)(nil); !errors.As(err, &typeError) {
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
