package config

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"airmirror/deploy"
)

// TestSchemaAcceptsWhatLoadAccepts compares the schema with the decoder.
func TestSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	text, err := Schema()
	must(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	compiler := jsonschema.NewCompiler()
	must(t, compiler.AddResource("mirror.json", doc))
	schema, err := compiler.Compile("mirror.json")
	must(t, err)
	for name, tt := range map[string]struct {
		text  string
		valid bool
	}{
		"the example file":              {deploy.Config, true},
		"the example file, uncommented": {uncommented(), true},
		"an upstream":                   {example, true},
		"an empty section":              {"tls:\ngc: {grace: 2h}", true},
		"a text as a number":            {"shutdownTimeout: 0", true},
		"an unknown key":                {"listne: x", false},
		"an unknown key of an element":  {"upstreams: [{hots: x}]", false},
		"a section that is a text":      {"tls: x", false},
		"a number that is a text":       {"limits: {requests: many}", false},
		"a list that is a text":         {"local: x", false},
	} {
		var value any
		must(t, yaml.Unmarshal([]byte(tt.text), &value))
		if value == nil { // nothing but comments
			value = map[string]any{}
		}
		if err := schema.Validate(value); (err == nil) != tt.valid {
			t.Errorf("%s: valid is %t, want %t: %v", name, err == nil, tt.valid, err)
		}
	}
	for _, want := range []string{`"default": ":5000"`, `"default": "1h"`, `"description": "Serve clients on this address.`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the schema lacks %s", want)
		}
	}
}

// TestSchemaIsCurrent compares the schema beside the example file, whose first line names it, with the settings.
func TestSchemaIsCurrent(t *testing.T) {
	const path = "../../../deploy/mirror.schema.json"
	want, err := Schema()
	must(t, err)
	want = append(want, '\n')
	if *update {
		must(t, os.WriteFile(path, want, 0o644))
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not current: run make docs: %v", path, err)
	}
	if first, _, _ := strings.Cut(deploy.Config, "\n"); first != "# yaml-language-server: $schema=mirror.schema.json" {
		t.Errorf("the example file begins with %q", first)
	}
}

// TestEverySettingIsDescribed covers the keys of list elements too, which have no line above them in the example file.
func TestEverySettingIsDescribed(t *testing.T) {
	sections := map[string]bool{}
	for _, key := range Keys() {
		section, _, _ := strings.Cut(key.Path, ".")
		sections[section] = section != key.Path
	}
	for path, text := range descriptions() {
		if text == "" && !sections[path] {
			t.Errorf("deploy/mirror.yaml does not describe %s", path)
		}
	}
}
