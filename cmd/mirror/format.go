package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"go.yaml.in/yaml/v3"
)

// The output formats of lists. There are no Go templates: text/template calls methods by name, so that the linker keeps all
// exported methods, and the binary would grow by a seventh.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// checkFormat validates an output format.
func checkFormat(format string) error {
	switch format {
	case "", formatTable, formatWide, formatJSON, formatYAML:
		return nil
	}
	return fmt.Errorf("--output %s: want table, wide, json or yaml", format)
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
