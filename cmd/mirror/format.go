package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"go.yaml.in/yaml/v3"
)

// The output formats of lists. formatTemplate is followed by a template.
const (
	formatTable    = "table"
	formatWide     = "wide"
	formatJSON     = "json"
	formatYAML     = "yaml"
	formatTemplate = "go-template="
)

// checkFormat validates an output format.
func checkFormat(format string) error {
	switch format {
	case "", formatTable, formatWide, formatJSON, formatYAML:
		return nil
	}
	if text, ok := strings.CutPrefix(format, formatTemplate); ok {
		_, err := parseTemplate(text)
		return err
	}
	return fmt.Errorf("--output %s: want table, wide, json, yaml or go-template=TEMPLATE, such as go-template='{{.reference}}'", format)
}

// parseTemplate parses a template of --output. The package is a copy of text/template that calls no methods: with the
// original, the linker would keep all exported methods of the program.
func parseTemplate(text string) (*template.Template, error) {
	functions := template.FuncMap{"json": func(v any) (string, error) {
		text, err := json.Marshal(v)
		return string(text), err
	}}
	parsed, err := template.New("go-template").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--output %s%s: %s", formatTemplate, text, strings.TrimPrefix(err.Error(), "template: "))
	}
	return parsed, nil
}

// listTemplate prints a line for each element: the template, executed with the keys of the element in JSON.
func listTemplate[T any](w io.Writer, text string, list iter.Seq2[T, error]) error {
	parsed, err := parseTemplate(text)
	if err != nil {
		return err
	}
	for element, err := range list {
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(element)
		if err != nil {
			return err
		}
		var keys map[string]any
		if err := yaml.Unmarshal(encoded, &keys); err != nil { // of JSON, numbers would be floating-point
			return err
		}
		var line strings.Builder
		if err := parsed.Execute(&line, keys); err != nil {
			return fmt.Errorf("--output %s%s: %s", formatTemplate, text, strings.TrimPrefix(err.Error(), "template: "))
		}
		if _, err := fmt.Fprintln(w, line.String()); err != nil {
			return err
		}
	}
	return nil
}

// printYAML prints a value as YAML, with the keys of its JSON in their order.
func printYAML(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
		return err
	}
	inBlocks(&doc)
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	return enc.Close()
}

// inBlocks gives nodes the usual style of YAML instead of that of JSON. The encoder quotes texts where it is needed.
func inBlocks(node *yaml.Node) {
	if len(node.Content) > 0 || node.Kind == yaml.ScalarNode {
		node.Style = 0
	}
	for _, child := range node.Content {
		inBlocks(child)
	}
}

// listJSON prints an array with an element on each line, as the elements arrive.
func listJSON[T any](w io.Writer, list iter.Seq2[T, error]) (err error) {
	out := bufio.NewWriter(w)
	defer func() { err = errors.Join(err, out.Flush()) }()
	begin := "[\n  "
	for element, err := range list {
		if err != nil {
			return err
		}
		text, err := json.Marshal(element)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s%s", begin, text); err != nil {
			return err
		}
		begin = ",\n  "
	}
	if begin == "[\n  " {
		_, err := fmt.Fprintln(out, "[]")
		return err
	}
	_, err = fmt.Fprintln(out, "\n]")
	return err
}
