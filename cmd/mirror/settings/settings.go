// Package settings fills a struct from layers: the defaults that it holds, a YAML file, environment variables and flags,
// each over the one before it, and says where each value came from.
//
// A key is a field's path by its yaml names, as in tls.certFile. Its variable and its flag follow from that:
// MIRROR_TLS_CERT_FILE and --tls-cert-file. A field is one key with a value of its own unless it is a struct, whose fields
// are keys below it; a list of structs is one key, whose elements have keys in the file only.
package settings

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Layers are what lies over the defaults. The zero value is nothing.
type Layers struct {
	File    string            // the name of the YAML file, for messages
	Text    []byte            // its content
	Environ []string          // NAME=value, as [os.Environ] has them; those that belong to no key are left alone
	Flags   map[string]string // key → value, in YAML
}

// Origins say, by key, where a value came from: file:line, a variable's name, a flag's name. What is a default is not there.
type Origins map[string]string

// EnvPrefix is what all variables begin with.
const EnvPrefix = "MIRROR_"

// Key is one setting.
type Key struct {
	Path   string // tls.certFile
	Env    string // MIRROR_TLS_CERT_FILE
	Flag   string // tls-cert-file
	Secret bool   // its value is not to be shown: the field is tagged secret:"true", or secret:"url" for a URL that may hold one
	value  reflect.Value
}

// Value is the value of the key, as its field has it.
func (k Key) Value() any { return k.value.Interface() }

// Load fills c, a pointer to a struct that holds the defaults. The error names the file and the line, the variable or the
// flag, and the key that is nearest to one that does not exist. c is not to be used after an error.
func Load(c any, layers Layers) (Origins, error) {
	origins := Origins{}
	root := reflect.ValueOf(c).Elem()
	if err := loadFile(root, layers, origins); err != nil {
		return nil, err
	}
	env := make(map[string]string, len(layers.Environ))
	for _, variable := range layers.Environ {
		if name, value, ok := strings.Cut(variable, "="); ok {
			env[name] = value
		}
	}
	for _, key := range Keys(c) {
		if text, ok := env[key.Env]; ok {
			if err := set(key.value, text); err != nil {
				return nil, fmt.Errorf("%s: %w", said(key, key.Env, "=", text), err)
			}
			origins[key.Path] = key.Env
		}
		if text, ok := layers.Flags[key.Path]; ok {
			if err := set(key.value, text); err != nil {
				return nil, fmt.Errorf("%s: %w", said(key, "--"+key.Flag, " ", text), err)
			}
			origins[key.Path] = "--" + key.Flag
		}
	}
	return origins, nil
}

// said is a variable or a flag with what it was set to, if no part of that can be a secret.
func said(key Key, name, separator, text string) string {
	if t := key.value.Type(); key.Secret || t.Kind() == reflect.Slice && isSection(t.Elem()) {
		return name
	}
	return name + separator + text
}

func loadFile(root reflect.Value, layers Layers, origins Origins) error {
	decoder := yaml.NewDecoder(bytes.NewReader(layers.Text))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return malformed(layers, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: there is more than one YAML document in it", layers.File)
	}
	f := file{name: layers.File, origins: origins}
	return f.fill(doc.Content[0], root, "")
}

// syntax is what the parser says, for want of a type.
var syntax = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// malformed says where a file is no YAML.
func malformed(layers Layers, err error) error {
	said := syntax.FindStringSubmatch(err.Error())
	if said == nil {
		return fmt.Errorf("%s: %w", layers.File, err)
	}
	why := said[2]
	lines := bytes.Split(layers.Text, []byte("\n"))
	if n, err := strconv.Atoi(said[1]); err == nil && n >= 1 && n <= len(lines) {
		indent := lines[n-1][:len(lines[n-1])-len(bytes.TrimLeft(lines[n-1], " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			why = "there is a tab: YAML is indented by spaces"
		}
	}
	return fmt.Errorf("%s:%s: %s", layers.File, said[1], why)
}

// set reads one value. A list of strings may also be written with commas between.
func set(v reflect.Value, text string) error {
	node := new(yaml.Node)
	if isText(v.Type()) || v.Kind() == reflect.String {
		node = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	} else if v.Type() == reflect.TypeFor[[]string]() && !strings.HasPrefix(text, "[") {
		list := []string{}
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		v.Set(reflect.ValueOf(list))
		return nil
	} else if err := yaml.Unmarshal([]byte(text), node); err != nil {
		return err
	} else if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	f := file{origins: Origins{}}
	return f.fill(node, v, "")
}

// Keys lists the keys of c, a pointer to a struct, in the order of its fields.
func Keys(c any) []Key { return keys(reflect.ValueOf(c).Elem(), "") }

func keys(v reflect.Value, path string) (all []Key) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, inline := yamlName(field)
		switch {
		case name == "" && !inline:
			continue
		case inline:
			all = append(all, keys(v.Field(i), path)...)
			continue
		}
		sub := join(path, name)
		if isSection(field.Type) {
			all = append(all, keys(v.Field(i), sub)...)
			continue
		}
		all = append(all, Key{
			Path: sub, Env: EnvPrefix + strings.ToUpper(words(sub, "_")), Flag: words(sub, "-"),
			Secret: field.Tag.Get("secret") != "", value: v.Field(i),
		})
	}
	return all
}

// isSection reports whether a type's fields are keys of their own.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// isText reports whether values of a type are written as text in a way of their own.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// yamlName is what a field is called; "" if it is none.
func yamlName(field reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	if name == "-" || !field.IsExported() {
		return "", false
	}
	return name, options == "inline"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// words writes a path in lower case with a separator between its words: tls.certFile as tls_cert_file, and tls.clientCAFile
// as tls_client_ca_file.
func words(path, separator string) string {
	var b strings.Builder
	upper := func(i int) bool { return i >= 0 && i < len(path) && unicode.IsUpper(rune(path[i])) }
	for i, r := range path {
		switch {
		case r == '.':
			b.WriteString(separator)
			continue
		case upper(i) && i > 0 && path[i-1] != '.' && (!upper(i-1) || i+1 < len(path) && path[i+1] != '.' && !upper(i+1)):
			b.WriteString(separator)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
