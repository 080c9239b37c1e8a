// Package settings fills a struct from layers: its defaults, a YAML file, environment variables and flags. A later layer
// overrides an earlier one. The origin of each value is recorded.
//
// A key is the path of a field by its yaml names, such as tls.certFile. The names of the variable and the flag follow
// from the key: MIRROR_TLS_CERT_FILE and --tls-cert-file. A struct is a section: its fields are keys of their own. Any
// other field is one key. A list of structs is one key as well, and its elements have keys in the file only.
//
// The decoder is strict. Unlike the ones of the YAML libraries, it names the line and the key of every error, suggests
// the nearest key for an unknown one, and remembers the line of each key.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Layers are the layers above the defaults. The zero value has none.
type Layers struct {
	File    string            // name of the YAML file, for errors
	Text    []byte            // content of the YAML file
	Environ []string          // NAME=value, as in [os.Environ]; variables of no key are ignored
	Flags   map[string]string // values in YAML, by key
}

// Origins are the origins of values, by key: file:line, the name of a variable, or a flag. Defaults have none.
type Origins map[string]string

// EnvPrefix is the prefix of all variables.
const EnvPrefix = "MIRROR_"

// Load fills c, a pointer to a struct with the defaults. The error contains every mistake, one per line. Each names the file
// and line, the variable or the flag, and for an unknown key the nearest known one. After an error, c is partly filled.
func Load(c any, layers Layers) (Origins, error) {
	origins := Origins{}
	root := reflect.ValueOf(c).Elem()
	errs := []error{loadFile(root, layers, origins)}
	env := make(map[string]string, len(layers.Environ))
	for _, variable := range layers.Environ {
		if name, value, ok := strings.Cut(variable, "="); ok {
			env[name] = value
		}
	}
	for _, key := range Keys(c) {
		if text, ok := env[key.Env]; ok {
			if err := set(key.value, text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", assignment(key, key.Env, "=", text), err))
			}
			origins[key.Path] = key.Env
		}
		if text, ok := layers.Flags[key.Path]; ok {
			if err := set(key.value, text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", assignment(key, "--"+key.Flag, " ", text), err))
			}
			origins[key.Path] = "--" + key.Flag
		}
	}
	return origins, errors.Join(errs...)
}

// assignment returns a variable or a flag with its value. It leaves out a value that can contain a secret.
func assignment(key Key, name, separator, text string) string {
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
		return syntaxError(layers, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file contains more than one YAML document", layers.File)
	}
	f := file{name: layers.File, origins: origins}
	return f.fill(doc.Content[0], root, "")
}

// yamlSyntax matches the syntax errors of the YAML library, which have no type of their own.
var yamlSyntax = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// syntaxError returns a syntax error with the name of the file and the line.
func syntaxError(layers Layers, err error) error {
	match := yamlSyntax.FindStringSubmatch(err.Error())
	if match == nil {
		return fmt.Errorf("%s: %w", layers.File, err)
	}
	reason := match[2]
	lines := bytes.Split(layers.Text, []byte("\n"))
	if n, err := strconv.Atoi(match[1]); err == nil && n >= 1 && n <= len(lines) {
		indent := lines[n-1][:len(lines[n-1])-len(bytes.TrimLeft(lines[n-1], " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			reason = "the line is indented with a tab: YAML requires spaces"
		}
	}
	return fmt.Errorf("%s:%s: %s", layers.File, match[1], reason)
}

// set sets a value from the text of a variable or a flag. A list of strings can also be separated by commas.
func set(v reflect.Value, text string) error {
	node := new(yaml.Node)
	if IsText(v.Type()) || v.Kind() == reflect.String {
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
